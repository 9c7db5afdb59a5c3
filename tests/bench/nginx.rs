//! nginx for comparison: static files with `sendfile`, and WebDAV uploads if it was built with them.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::node::folder;

/// A running nginx; killed when dropped.
pub(crate) struct Nginx {
    pub(crate) address: String,
    /// The files that it serves.
    pub(crate) root: PathBuf,
    child: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Starts it, or returns the reason why not.
    pub(crate) fn start() -> Result<Self, String> {
        let missing = "nginx is not installed (Debian: apt-get install nginx-light)";
        let folder = folder();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).expect("a folder can be created");
        let port = free_port();
        let config = folder.path().join("nginx.conf");
        std::fs::write(&config, configuration(folder.path(), port)).expect("it can be written");
        let version = Command::new("nginx")
            .arg("-V")
            .output()
            .map_err(|_| missing)?;
        if !String::from_utf8_lossy(&version.stderr).contains("http_dav_module") {
            return Err("this nginx is built without http_dav_module".into());
        }
        let child = Command::new("nginx")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&config)
            .stderr(Stdio::null())
            .spawn()
            .map_err(|_| missing)?;
        let address = format!("127.0.0.1:{port}");
        let begun = Instant::now();
        while TcpStream::connect(&address).is_err() {
            if begun.elapsed() > Duration::from_secs(5) {
                return Err("nginx did not start".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            address,
            root,
            child,
            _folder: folder,
        })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // The master stops its workers, which SIGKILL would leave behind.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is known").port()
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    // When started by root, the workers would otherwise run as a user that may not read the folder.
    let user = if rustix::process::getuid().is_root() {
        "user root;"
    } else {
        ""
    };
    format!(
        "{user}
        daemon off; worker_processes auto; pid {folder}/pid; error_log {folder}/error.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
            keepalive_requests 100000000; open_file_cache max=20000 inactive=60s;
            client_max_body_size 0; client_body_buffer_size 1m;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            server {{
                listen 127.0.0.1:{port};
                root {folder}/root;
                dav_methods PUT DELETE;
            }}
        }}"
    )
}
