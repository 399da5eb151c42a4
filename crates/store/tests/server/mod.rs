//! A throw-away PostgreSQL: started once for a test program, in a folder in memory, on a socket; ends with it, however it ends.

#![allow(
    dead_code,
    reason = "no test needs everything that the server can be asked for"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bursar_store::connection::Connection as _;
use bursar_store::postgres::{Address, Postgres};

/// Faster, and lost with the machine, as the folder is.
const SETTINGS: &str = "-c fsync=off -c full_page_writes=off -c shared_buffers=32MB -c max_connections=90 \
                        -c autovacuum=off -c listen_addresses= -c deadlock_timeout=200ms";

pub(crate) struct Server {
    folder: PathBuf,
    _shell: Child,
    /// The server ends when nobody holds this any more: at the latest when the test program is gone.
    _life: ChildStdin,
}

/// The server of this test program.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(SETTINGS))
}

/// The server's programs: the newest of Debian's, or what is on the path.
fn programs() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            let path = path.join("bin");
            path.join("initdb").exists().then_some((version, path))
        })
        .collect();
    found.sort();
    let on_path = || {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).find(|path| path.join("initdb").exists())
    };
    let found = found.pop().map(|(_, path)| path).or_else(on_path);
    found.unwrap_or_else(|| {
        panic!("PostgreSQL's server programs are missing: on Debian, apt-get install postgresql")
    })
}

impl Server {
    /// Starts a server with these settings.
    pub(crate) fn start(settings: &str) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_path_buf()
        } else {
            std::env::temp_dir()
        };
        let number = STARTED.fetch_add(1, Ordering::SeqCst);
        let folder = base.join(format!("bursar-pg-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // PostgreSQL does not run as root.
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|it| {
            #[cfg(unix)]
            return std::os::unix::fs::MetadataExt::uid(&it) == 0;
            #[cfg(not(unix))]
            return false;
        });
        let (bin, path) = (programs(), folder.display().to_string());
        let script = format!(
            "set -e; cd '{path}'; '{bin}/initdb' -D data -U bursar --auth=trust --no-sync --no-locale -E UTF8 >initdb.log 2>&1; \
             '{bin}/postgres' -D data -k '{path}' {settings} >server.log 2>&1 </dev/null & server=$!; \
             read gone || true; kill -INT $server; wait $server || true; cd /; rm -rf '{path}'",
            bin = bin.display()
        );
        let mut command = if is_root {
            #[cfg(unix)]
            std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).unwrap();
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "sh",
                "-c",
            ]);
            command
        } else {
            let mut command = Command::new("sh");
            command.arg("-c");
            command
        };
        let mut shell = command
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let life = shell.stdin.take().unwrap();
        let server = Self {
            folder,
            _shell: shell,
            _life: life,
        };
        server.wait();
        server
    }

    fn wait(&self) {
        let begun = Instant::now();
        while let Err(error) = Postgres::open(self.address("postgres", None)) {
            let log = |name| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
            assert!(
                begun.elapsed() < Duration::from_mins(1),
                "PostgreSQL does not start: {error}\n{}\n{}",
                log("initdb.log"),
                log("server.log")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn address(&self, database: &str, schema: Option<&str>) -> Address {
        Address::parse(&self.url(database, schema)).unwrap()
    }

    fn url(&self, database: &str, schema: Option<&str>) -> String {
        let schema = schema.map_or(String::new(), |schema| format!("&schema={schema}"));
        let host = self.folder.display();
        format!("postgres://bursar@/{database}?host={host}{schema}")
    }

    /// The folder with the socket.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the server listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join(".s.PGSQL.5432")
    }

    /// The address of a schema that nobody else has, as text.
    pub(crate) fn fresh_url(&self) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let schema = format!("books_{}", MADE.fetch_add(1, Ordering::SeqCst));
        let mut connection = Postgres::open(self.address("postgres", None)).unwrap();
        connection
            .run_script(&format!("CREATE SCHEMA {schema}"))
            .unwrap();
        self.url("postgres", Some(&schema))
    }

    /// The address of a schema that nobody else has.
    pub(crate) fn fresh(&self) -> Address {
        Address::parse(&self.fresh_url()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // For a server that is not the whole program's: its folder goes as well.
        let _ = std::fs::remove_dir(&self.folder);
    }
}
