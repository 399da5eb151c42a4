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

use bursar_store::connection::{Connection as _, Parameters};
use bursar_store::postgres::{Address, Postgres};

/// Faster, and lost with the machine, as the folder is. And as strange as an administrator may have set a server up: nothing may depend
/// on how it writes dates and bytes, reads texts, plans, or in which zone it is.
pub(crate) const SETTINGS: &str = "-c fsync=off -c full_page_writes=off -c shared_buffers=32MB -c max_connections=90 \
                        -c autovacuum=off -c listen_addresses= -c deadlock_timeout=200ms \
                        -c standard_conforming_strings=off -c DateStyle=German -c TimeZone=Asia/Kathmandu -c bytea_output=escape \
                        -c array_nulls=off -c transform_null_equals=on -c default_transaction_isolation='repeatable read' \
                        -c synchronous_commit=off -c extra_float_digits=-15 -c IntervalStyle=sql_standard";

/// A folder `data` with nothing in it yet. Texts sort neither by bytes nor by the system's locale.
const INITDB: &str = "initdb -D data -U bursar --auth=trust --no-sync -E UTF8 \
                      --locale=C.UTF-8 --locale-provider=icu --icu-locale=de-DE-u-kn-kf-upper";

pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    shell: Child,
    /// The server ends when nobody holds this any more: at the latest when the test program is gone.
    life: Option<ChildStdin>,
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

/// Starts a shell command as a user that PostgreSQL's programs may run as, which is not root.
fn shell(script: &str) -> Command {
    if !is_root() {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        return command;
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args(["sh", "-c", script]);
    command
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|it| {
        #[cfg(unix)]
        return std::os::unix::fs::MetadataExt::uid(&it) == 0;
        #[cfg(not(unix))]
        return false;
    })
}

/// Gives what root has made to the user of [`shell`].
fn hand_over(path: &Path) {
    #[cfg(unix)]
    if is_root() {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
    }
}

impl Server {
    /// Starts a server with these settings.
    pub(crate) fn start(settings: &str) -> Self {
        let server = Self::begin(5432, INITDB, settings, &[]);
        server.wait();
        server
    }

    /// Starts a server that also listens on this port of 127.0.0.1, with these files in its folder. What stands in `{folder}` of the
    /// settings is that folder.
    pub(crate) fn listening(port: u16, settings: &str, files: &[(&str, &str)]) -> Self {
        let settings =
            format!("{SETTINGS} -c listen_addresses=127.0.0.1 -c port={port} {settings}");
        let server = Self::begin(port, INITDB, &settings, files);
        server.wait();
        server
    }

    /// Starts a hot standby of this server, which follows it as the role `replica`.
    pub(crate) fn standby(&self) -> Self {
        let mut primary = Postgres::open(self.address("postgres", None)).unwrap();
        primary
            .run_script("CREATE ROLE replica LOGIN REPLICATION")
            .unwrap();
        let from = self.folder.display();
        let make =
            format!("pg_basebackup -D data -R -X stream -c fast --no-sync -U replica -h '{from}'");
        let standby = Self::begin(5432, &make, SETTINGS, &[]);
        standby.wait_for(|opened| opened.is_err_and(|why| why.contains("not the primary")));
        standby
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        let (bin, folder) = (programs(), self.folder.display());
        let script = format!(
            "'{}/pg_ctl' promote -D '{folder}/data' >'{folder}/promote.log' 2>&1",
            bin.display()
        );
        assert!(
            shell(&script).status().unwrap().success(),
            "{}",
            self.log("promote.log")
        );
    }

    /// Stops the server at once, as if its machine were gone.
    pub(crate) fn stop(mut self) {
        let pid = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap();
        let killed = Command::new("kill").args(["-QUIT", pid]).status().unwrap();
        assert!(killed.success());
        drop(self.life.take());
        self.shell.wait().unwrap();
    }

    fn begin(port: u16, make: &str, settings: &str, files: &[(&str, &str)]) -> Self {
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
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            #[cfg(unix)]
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
            hand_over(&path);
        }
        hand_over(&folder);
        let (bin, path) = (programs(), folder.display().to_string());
        let settings = settings.replace("{folder}", &path);
        let script = format!(
            "set -e; cd '{path}'; '{bin}'/{make} >make.log 2>&1; \
             '{bin}/postgres' -D data -k '{path}' {settings} >server.log 2>&1 </dev/null & server=$!; \
             read gone || true; kill -INT $server; wait $server || true; cd /; rm -rf '{path}'",
            bin = bin.display()
        );
        let mut shell = shell(&script)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let life = shell.stdin.take().unwrap();
        Self {
            folder,
            port,
            shell,
            life: Some(life),
        }
    }

    fn wait(&self) {
        self.wait_for(|opened| opened.is_ok());
    }

    /// Waits until connecting ends as it should; `is_up` gets the error's text.
    pub(crate) fn wait_for(&self, is_up: impl Fn(Result<(), String>) -> bool) {
        let begun = Instant::now();
        loop {
            let opened = Postgres::open(self.address("postgres", None));
            let opened = opened.map(drop).map_err(|error| error.to_string());
            if is_up(opened.clone()) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_mins(1),
                "PostgreSQL does not start: {opened:?}\n{}\n{}",
                self.log("make.log"),
                self.log("server.log")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What one of its programs has said.
    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    fn address(&self, database: &str, schema: Option<&str>) -> Address {
        Address::parse(&self.url(database, schema)).unwrap()
    }

    pub(crate) fn url(&self, database: &str, schema: Option<&str>) -> String {
        let schema = schema.map_or(String::new(), |schema| format!("&schema={schema}"));
        let (host, port) = (self.folder.display(), self.port);
        format!("postgres://bursar@/{database}?host={host}&port={port}{schema}")
    }

    /// The folder with the socket.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the server listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{}", self.port))
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

/// Asks for megabytes with megabytes, and puts thousands of statements behind each other: the server must get rid of its answers
/// while it is still being asked.
pub(crate) fn is_answered_while_sending(postgres: &mut Postgres) {
    postgres
        .run_script("CREATE TEMPORARY TABLE much (n BIGINT PRIMARY KEY, x TEXT NOT NULL)")
        .unwrap();
    let text = "x".repeat(200);
    let rows: Vec<Parameters> = (0..20_000)
        .map(|n: i64| vec![n.into(), text.as_str().into()])
        .collect();
    postgres.begin().unwrap();
    for row in &rows {
        let insert = "INSERT INTO much (n, x) VALUES ($1, $2)";
        postgres.write(insert, std::slice::from_ref(row)).unwrap();
    }
    postgres.commit().unwrap();
    let question = "SELECT n, x FROM much WHERE n = $1 AND x = $2";
    let answers = postgres
        .ask(&[(question, &rows), (question, &rows)])
        .unwrap();
    for answer in answers {
        for (rows, asked) in answer.iter().zip(&rows) {
            assert_eq!(rows[0].0, *asked);
        }
    }
}

/// The server's process for this session.
pub(crate) fn pid(connection: &mut Postgres) -> i64 {
    let sql = "SELECT CAST(pg_backend_pid() AS BIGINT)";
    connection.rows(sql, vec![]).unwrap()[0].integer(0).unwrap()
}

/// Ends a session as an administrator does it.
pub(crate) fn kill(connection: &mut Postgres, pid: i64) {
    let sql = "SELECT CAST(pg_terminate_backend(CAST($1 AS INTEGER)) AS TEXT)";
    connection.rows(sql, vec![pid.into()]).unwrap();
    let begun = Instant::now();
    let sql = "SELECT pid FROM pg_stat_activity WHERE pid = $1";
    while !connection.rows(sql, vec![pid.into()]).unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whatever is begun on a session that has ended meanwhile goes to a new one, and what is only told ends none.
pub(crate) fn is_opened_again(postgres: &mut Postgres, other: &mut Postgres) {
    postgres.run_script("LISTEN news").unwrap();
    let mut last = pid(postgres);
    other.run_script("NOTIFY news, 'nothing new'").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(pid(postgres), last, "a session that was told something");
    let beginnings: [fn(&mut Postgres); 6] = [
        |it| drop(it.rows("SELECT 1", vec![]).unwrap()),
        |it| it.visit("SELECT 1", &vec![], &mut |_| Ok(())).unwrap(),
        |it| assert_eq!(it.execute("SELECT 1", &[vec![]]).unwrap(), 1),
        |it| it.run_script("SELECT 1").unwrap(),
        |it| it.begin().and_then(|()| it.commit()).unwrap(),
        |it| it.begin_reading().and_then(|()| it.commit()).unwrap(),
    ];
    for begin in beginnings {
        kill(other, last);
        let generation = postgres.generation();
        begin(postgres);
        assert_eq!(postgres.generation(), generation + 1);
        let next = pid(postgres);
        assert_ne!(next, last);
        last = next;
    }
}
