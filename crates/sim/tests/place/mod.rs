//! Where scripts are played, in files or with several nodes on a real PostgreSQL, and which were kept.

use bursar_sim::{Failure, Script, Seen, play, play_on};
use bursar_store::connection::Connection as _;
use bursar_store::postgres::{Address, Postgres};

#[path = "../../../store/tests/server/mod.rs"]
mod server;

/// Plays a script. `is_real`: on a server of its own schema, if the script has several nodes.
pub(crate) fn play_in(script: &Script, is_real: bool) -> Result<Seen, Failure> {
    if script.nodes < 2 || !is_real {
        return play(script);
    }
    let server = server::server();
    let url = server.fresh_url();
    let played = play_on(script, Address::parse(&url).unwrap());
    let (_, schema) = url.split_once("schema=").unwrap();
    let address = Address::parse(&server.url("postgres", None)).unwrap();
    let mut connection = Postgres::open(address).unwrap();
    let drop = format!("DROP SCHEMA {schema} CASCADE");
    connection.run_script(&drop).unwrap();
    played
}

/// The scripts in `spec/sim`, which have found something once, and their names.
pub(crate) fn kept() -> Vec<(Script, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/sim");
    let files = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let scripts = paths.into_iter().map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let script = std::fs::read_to_string(&path).unwrap().parse();
        (
            script.unwrap_or_else(|error| panic!("{name}: {error}")),
            name,
        )
    });
    scripts.collect()
}
