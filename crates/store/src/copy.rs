//! A copy of the whole database, taken beside a running service.
//!
//! The copy is one consistent moment. Rows of wallets may be behind the journal in it; whoever opens it reads them again, as after
//! a crash.

use std::fs::{self, OpenOptions};
use std::path::Path;

use crate::connection::{Dialect, StoreError};
use crate::query::Reader;

/// Writes a copy to `to`, which must not exist. It is on disk when this returns, and only its owner can read it.
pub fn write(reader: &mut Reader, to: &Path) -> Result<(), StoreError> {
    let unusable = |error: &dyn std::fmt::Display| {
        StoreError::Unusable(format!("{} cannot be written: {error}", to.display()))
    };
    let name = to
        .to_str()
        .ok_or_else(|| unusable(&"its name is not UTF-8"))?;
    if reader.connection().dialect() != Dialect::Sqlite {
        return Err(StoreError::Unusable(
            "a database server has its own backups: use pg_dump, or what your provider offers"
                .to_owned(),
        ));
    }
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // An empty file may be written to; one that somebody else has made in the meantime may not.
    options.open(to).map_err(|error| unusable(&error))?;
    let written = reader
        .connection()
        .rows("VACUUM INTO $1", vec![name.into()])
        .map(drop)
        .and_then(|()| sync(to).map_err(|error| unusable(&error)));
    if written.is_err() {
        // What is left is no copy.
        fs::remove_file(to).ok();
    }
    written
}

fn sync(file: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).open(file)?.sync_all()?;
    #[cfg(unix)]
    if let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
