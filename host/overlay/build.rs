//! Compiles the protocols between nodes into Rust, without protoc: protox parses the files.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use protox::prost::Message;
use protox::prost_reflect::prost_types::FileDescriptorSet;

const FOLDER: &str = "../../proto";
/// Each file, and the name of its descriptors.
const PROTOS: [(&str, &str); 2] = [
    ("dataverse/v1/overlay.proto", "descriptors.bin"),
    ("dataverse/v1/enrolment.proto", "enrolment-descriptors.bin"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let files = protox::compile(PROTOS.map(|(proto, _)| proto), [FOLDER])?;
    // The same descriptors generate the Rust code and answer reflection, for which each service has its own.
    for (proto, descriptors) in PROTOS {
        println!("cargo:rerun-if-changed={FOLDER}/{proto}");
        let own = files.file.iter().filter(|file| file.name() == proto);
        let own = FileDescriptorSet {
            file: own.cloned().collect(),
        };
        fs::write(out.join(descriptors), own.encode_to_vec())?;
    }
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(files)?;
    Ok(())
}
