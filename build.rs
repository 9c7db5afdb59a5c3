//! Compiles `proto/` into Rust, without protoc: the files are parsed by protox, in Rust.
//!
//! What comes out is included by `host/src/net/` and nowhere else.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use protox::prost::Message;

const PROTOS: [&str; 2] = ["dataverse/v1/dataverse.proto", "dataverse/v1/overlay.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=proto");

    // The same set of files makes the Rust code and answers reflection.
    let files = protox::compile(PROTOS, ["proto"])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("descriptors.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(files)?;
    fs::write(
        out_dir.join("policies.rs"),
        "pub(super) static POLICIES: [(&str, &str, &[u8]); 0] = [];",
    )?;
    Ok(())
}
