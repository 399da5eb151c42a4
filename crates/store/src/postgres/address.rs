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

/// What may stand behind the `?`.
const SETTINGS: &str = "host, port, user, password, dbname, schema, sslmode, sslrootcert, sslcert, sslkey, channel_binding, \
                        application_name, target_session_attrs";

fn bad(what: &str) -> StoreError {
    StoreError::Unusable(format!(
        "the database's address cannot be read: {what}; it looks like \
         postgres://user:password@host:5432/database?sslmode=verify-full"
    ))
}

fn decoded(text: &str) -> Result<String, StoreError> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(String::from)
        .map_err(|_| bad("it is not UTF-8 once decoded"))
}

impl Address {
    /// Reads the text of `DATABASE_URL`.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| bad("it begins with neither postgres:// nor sqlite://"))?;
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
        let mut ports = None;
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        for (name, value) in pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            let value = decoded(value)?;
            match name {
                // Of the hosts, wherever in the list they stand.
                "port" => ports = Some(value),
                _ => address.set(name, value)?,
            }
        }
        if let Some(ports) = ports {
            address.listen_at(&ports)?;
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
            "application_name" => {}
            "target_session_attrs" => {
                if !["any", "read-write", "primary"].contains(&value.as_str()) {
                    return Err(bad(
                        "target_session_attrs must be read-write: only the primary is used",
                    ));
                }
            }
            // Whatever else stands there may be a piece of a password.
            _ if name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_') =>
            {
                return Err(bad(&format!(
                    "the setting {name} is unknown, known are {SETTINGS}"
                )));
            }
            _ => return Err(bad("what follows the ? is no list of settings")),
        }
        Ok(())
    }

    /// One port for all hosts, or one for each.
    fn listen_at(&mut self, ports: &str) -> Result<(), StoreError> {
        let ports: Vec<u16> = ports.split(',').map(port).collect::<Result<_, _>>()?;
        if ports.len() != 1 && ports.len() != self.places.len() {
            return Err(bad("there are more ports than hosts, or fewer"));
        }
        let ports = ports.iter().cycle();
        for (place, port) in self.places.iter_mut().zip(ports) {
            place.port = *port;
        }
        Ok(())
    }
}

fn port(text: &str) -> Result<u16, StoreError> {
    text.parse().map_err(|_| bad("the port is no number"))
}

fn places(hosts: &str) -> Result<Vec<Place>, StoreError> {
    let hosts = hosts.split(',').filter(|host| !host.is_empty());
    hosts
        .map(|host| {
            // With a port an IPv6 address stands in brackets.
            let (host, number) = match host.rsplit_once(':') {
                Some((name, number)) if !name.contains(':') || name.ends_with(']') => {
                    (name, number)
                }
                _ => (host, "5432"),
            };
            Ok(Place {
                host: decoded(host.trim_matches(['[', ']']))?,
                port: port(number)?,
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
    fn ports_belong_to_hosts_wherever_they_stand() {
        let of = |url: &str| {
            let places = Address::parse(url).unwrap().places;
            let places = places.iter();
            let places: Vec<String> = places
                .map(|place| format!("{} {}", place.host, place.port))
                .collect();
            places.join(", ")
        };
        for (url, expected) in [
            ("postgres://u@/d?port=6432&host=/run/pg", "/run/pg 6432"),
            ("postgres://u@/d?host=/run/pg&port=6432", "/run/pg 6432"),
            ("postgres://u@%2Frun%2Fpg:6432/d", "/run/pg 6432"),
            ("postgres://u@/d?host=::1&port=6432", "::1 6432"),
            ("postgres://u@[::1]/d", "::1 5432"),
            ("postgres://u@/d?host=a,b&port=1,2", "a 1, b 2"),
            ("postgres://u@a:7,b/d?port=1", "a 1, b 1"),
        ] {
            assert_eq!(of(url), expected, "{url}");
        }
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
            "postgres://bursar@host/books?sslmode",
            "postgres://bursar@host/books?target_session_attrs=standby",
            "postgres://bursar@host/books?port=1,2",
            "postgres://bursar@host/books?port=",
            "postgres://bursar@host/books?sslcert=/etc/bursar.pem",
            "postgres://bursar@host/books?channel_binding=maybe",
            "postgres://bursar:secret?speed=secret@host/books",
            "postgres://bursar:sec/ret@host/books",
        ] {
            let refused = Address::parse(url).unwrap_err().to_string();
            assert!(
                refused.contains("the database's address"),
                "{url}: {refused}"
            );
            assert!(!refused.contains("secret"), "{url}: {refused}");
        }
    }
}
