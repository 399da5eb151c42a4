//! Where a PostgreSQL server is, and how to talk to it: `postgres://user:password@host:5432/database?sslmode=verify-full`.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::connection::StoreError;

/// How much encryption is asked for, in PostgreSQL's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SslMode {
    /// None.
    Disable,
    /// If the server offers it; its certificate is not looked at.
    Prefer,
    /// Always; its certificate is not looked at.
    Require,
    /// Always, with a certificate that somebody trusted has signed.
    VerifyCa,
    /// Always, with such a certificate for this host.
    VerifyFull,
}

/// Whether the sign-in is bound to the server's certificate, so that nobody in between can pass it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChannelBinding {
    /// Never.
    Disable,
    /// If the server offers it.
    Prefer,
    /// Always.
    Require,
}

/// One place to try: a host and port, or a folder with a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Place {
    /// The socket, if the host is a folder.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        let folder = self
            .host
            .starts_with('/')
            .then(|| PathBuf::from(&self.host));
        folder.map(|folder| folder.join(format!(".s.PGSQL.{}", self.port)))
    }
}

/// Where a database is. Several hosts may be named; the one that takes writes is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(super) places: Vec<Place>,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) database: String,
    pub(super) ssl_mode: SslMode,
    /// A file with the certificates to trust instead of the system's.
    pub(super) root_certificates: Option<PathBuf>,
    /// A file with the certificate that is shown to the server, and one with its key.
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) channel_binding: ChannelBinding,
    /// Another schema than `public`.
    pub(super) schema: Option<String>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Without the password.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places = self.places.iter();
        let places: Vec<String> = places
            .map(|place| format!("{}:{}", place.host, place.port))
            .collect();
        let (user, database) = (&self.user, &self.database);
        write!(f, "postgres://{user}@{}/{database}", places.join(","))
    }
}

fn bad(what: &str) -> StoreError {
    StoreError::Unusable(format!(
        "DATABASE_URL cannot be read: {what}; it looks like postgres://user:password@host:5432/database?sslmode=verify-full"
    ))
}

fn decoded(text: &str) -> Result<String, StoreError> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(String::from)
        .map_err(|_| bad("it is not UTF-8 once decoded"))
}

impl Address {
    /// Whether this text is meant for PostgreSQL.
    pub fn is_meant(url: &str) -> bool {
        url.starts_with("postgres://") || url.starts_with("postgresql://")
    }

    /// Reads the text of `DATABASE_URL`.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| bad("it does not begin with postgres://"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        // Then the password was cut at one of these, and its pieces must not be repeated in an error about something else.
        if database.contains('@') || query.contains('@') {
            return Err(bad(
                "in a password, / is written %2F, ? is %3F and @ is %40",
            ));
        }
        let (who, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = who.split_once(':').unwrap_or((who, ""));
        let mut address = Self {
            places: places(hosts)?,
            user: decoded(user)?,
            password: decoded(password)?,
            database: decoded(database)?,
            ssl_mode: SslMode::Prefer,
            root_certificates: None,
            certificate: None,
            key: None,
            channel_binding: ChannelBinding::Prefer,
            schema: None,
        };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            address.set(name, decoded(value)?)?;
        }
        if address.user.is_empty() {
            return Err(bad("it names no user"));
        }
        if address.database.is_empty() {
            address.database.clone_from(&address.user);
        }
        if address.places.is_empty() {
            return Err(bad("it names no host"));
        }
        if address.certificate.is_some() != address.key.is_some() {
            return Err(bad("sslcert and sslkey only go together"));
        }
        Ok(address)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), StoreError> {
        match name {
            "host" => self.places = places(&value)?,
            "port" => {
                let port = value.parse().map_err(|_| bad("the port is no number"))?;
                self.places.iter_mut().for_each(|place| place.port = port);
            }
            "user" => self.user = value,
            "password" => self.password = value,
            "dbname" => self.database = value,
            "schema" => self.schema = Some(value),
            "sslrootcert" => self.root_certificates = Some(value.into()),
            "sslcert" => self.certificate = Some(value.into()),
            "sslkey" => self.key = Some(value.into()),
            "channel_binding" => {
                self.channel_binding = match value.as_str() {
                    "disable" => ChannelBinding::Disable,
                    "prefer" => ChannelBinding::Prefer,
                    "require" => ChannelBinding::Require,
                    _ => return Err(bad("channel_binding is unknown")),
                };
            }
            "sslmode" => {
                self.ssl_mode = match value.as_str() {
                    "disable" => SslMode::Disable,
                    "allow" | "prefer" => SslMode::Prefer,
                    "require" => SslMode::Require,
                    "verify-ca" => SslMode::VerifyCa,
                    "verify-full" => SslMode::VerifyFull,
                    _ => return Err(bad("sslmode is unknown")),
                };
            }
            // Always so here.
            "target_session_attrs" | "application_name" => {}
            // Whatever else stands there may be a piece of a password.
            _ if name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_') =>
            {
                return Err(bad(&format!("the setting {name} is unknown")));
            }
            _ => return Err(bad("what follows the ? is no list of settings")),
        }
        Ok(())
    }
}

fn places(hosts: &str) -> Result<Vec<Place>, StoreError> {
    let hosts = hosts.split(',').filter(|host| !host.is_empty());
    hosts
        .map(|host| {
            // An IPv6 address stands in brackets.
            let (host, port) = match host.rsplit_once(':') {
                Some((name, port)) if !port.ends_with(']') => (name, port),
                _ => (host, "5432"),
            };
            Ok(Place {
                host: decoded(host.trim_matches(['[', ']']))?,
                port: port.parse().map_err(|_| bad("the port is no number"))?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_shown_without_its_password() {
        let address = Address::parse(
            "postgres://bur%40sar:s%2Fecret@db1:5433,[::1]/books?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        )
        .unwrap();
        assert_eq!(
            (address.user.as_str(), address.password.as_str()),
            ("bur@sar", "s/ecret")
        );
        assert_eq!(
            address.to_string(),
            "postgres://bur@sar@db1:5433,::1:5432/books"
        );
        assert!(!format!("{address:?}").contains("ecret"));
        assert_eq!(address.ssl_mode, SslMode::VerifyFull);
        let socket = Address::parse("postgresql://bursar@/?host=/run/postgresql").unwrap();
        assert_eq!(socket.database, "bursar");
        let path = socket.places[0].socket().unwrap();
        assert_eq!(path, PathBuf::from("/run/postgresql/.s.PGSQL.5432"));
    }

    #[test]
    fn an_address_that_says_too_little_is_refused() {
        for url in [
            "mysql://root@localhost",
            "postgres://host/books",
            "postgres://bursar@/books",
            "postgres://bursar@host:port/books",
            "postgres://bursar@host/books?sslmode=maybe",
            "postgres://bursar@host/books?speed=fast",
            "postgres://bursar@host/books?sslcert=/etc/bursar.pem",
            "postgres://bursar@host/books?channel_binding=maybe",
            "postgres://bursar:secret?speed=secret@host/books",
            "postgres://bursar:sec/ret@host/books",
        ] {
            let refused = Address::parse(url).unwrap_err().to_string();
            assert!(refused.contains("DATABASE_URL"), "{url}: {refused}");
            assert!(!refused.contains("secret"), "{url}: {refused}");
        }
    }
}
