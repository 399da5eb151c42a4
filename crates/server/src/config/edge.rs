//! What keeps strangers from holding the server: bounds on connections and requests, and whose word about addresses counts.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use ipnet::IpNet;

use super::{Reader, whole};
use crate::listener::{Bounds, Patience};
use crate::rate::Rate;

/// The header in which proxies say where a request comes from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The part about bounds on what strangers and users may do.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// Most connections at a time.
    pub connections_max: u32,
    /// Most connections of one address; 0 stands for no bound.
    pub connections_per_address: u32,
    /// Most requests that are worked on at a time.
    pub requests_max: usize,
    /// Proxies whose `X-Forwarded-For` is believed, and which may have any number of connections.
    pub trusted_proxies: Proxies,
    /// How often who may ask.
    pub rates: Rates,
}

/// How often who may ask; none for as often as he likes.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Requests without credentials, for each address.
    pub guest: Option<Rate>,
    /// Credentials and signatures that are not valid, for each address.
    pub failure: Option<Rate>,
    /// Requests of each user.
    pub user: Option<Rate>,
    /// Of them, those that ask Stripe for something: checkouts, payment intents, cards.
    pub checkout: Option<Rate>,
    /// Of them, those that read a lot: explanations and histories.
    pub reading: Option<Rate>,
    /// Requests with each admin key.
    pub admin_key: Option<Rate>,
}

impl EdgeConfig {
    /// What the listener needs to know.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            connections_max: self.connections_max,
            per_address_max: self.connections_per_address,
            proxies: self.trusted_proxies.clone(),
            patience: Patience::default(),
        }
    }
}

impl Reader<'_> {
    pub(super) fn edge(&mut self) -> Option<EdgeConfig> {
        let connections_max = self.read("edge.connections_max", |text| whole(text, 16, 1_000_000));
        let per_address = self.read("edge.connections_per_address", |text| {
            whole(text, 0, 1_000_000)
        });
        let requests_max = self.read("edge.requests_max", |text| whole(text, 16, 1_000_000));
        let trusted_proxies = self.read("edge.trusted_proxies", Proxies::parse);
        let rates = self.rates();
        Some(EdgeConfig {
            connections_max: u32::try_from(connections_max?).ok()?,
            connections_per_address: u32::try_from(per_address?).ok()?,
            requests_max: usize::try_from(requests_max?).ok()?,
            trusted_proxies: trusted_proxies?,
            rates: rates?,
        })
    }

    fn rates(&mut self) -> Option<Rates> {
        let guest = self.read("rate.guest", Rate::parse);
        let failure = self.read("rate.failure", Rate::parse);
        let user = self.read("rate.user", Rate::parse);
        let checkout = self.read("rate.checkout", Rate::parse);
        let reading = self.read("rate.reading", Rate::parse);
        let admin_key = self.read("rate.admin_key", Rate::parse);
        Some(Rates {
            guest: guest?,
            failure: failure?,
            user: user?,
            checkout: checkout?,
            reading: reading?,
            admin_key: admin_key?,
        })
    }
}

/// Networks of proxies that are believed.
#[derive(Debug, Clone)]
pub struct Proxies(Vec<IpNet>);

impl Default for Proxies {
    /// Programs on this machine.
    fn default() -> Self {
        Self(LOOPBACK.iter().filter_map(|it| network(it)).collect())
    }
}

/// This machine itself.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// Networks that the internet does not reach: RFC 1918, RFC 4193, RFC 6598, link-local.
const PRIVATE: [&str; 7] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

impl Proxies {
    /// Reads `loopback, 10.1.2.0/24, 192.0.2.7`; `private` stands for all private networks. An empty text is nobody.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut networks = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            match part {
                "loopback" => networks.extend(LOOPBACK.iter().filter_map(|it| network(it))),
                "private" => networks.extend(PRIVATE.iter().filter_map(|it| network(it))),
                other => networks.push(network(other).ok_or_else(|| {
                    format!("{other:?} must be an address, a network such as 10.0.0.0/8, loopback or private")
                })?),
            }
        }
        Ok(Self(networks))
    }

    /// Whether this is the address of a proxy that is believed.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request comes from, whose connection comes from `peer`. None if it began at a trusted address itself: a program on
    /// this machine, or a proxy that says nothing.
    ///
    /// Each proxy adds the address it was asked from at the end of `X-Forwarded-For`, so the list is read from there, as long as the
    /// one who wrote is trusted. What stands before was written by the client and can be anything.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let mut hop = peer.to_canonical();
        let values = headers.get_all(FORWARDED_FOR).iter().rev();
        let entries = values.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        for entry in entries {
            if !self.contains(hop) {
                return Some(hop);
            }
            match forwarded(entry.trim()) {
                Some(address) => hop = address,
                // A proxy that writes what is no address: all of it counts as one client.
                None => return Some(hop),
            }
        }
        (!self.contains(hop)).then_some(hop)
    }
}

/// An address or a network.
fn network(text: &str) -> Option<IpNet> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or(address).ok()
}

/// An entry of `X-Forwarded-For`: an address, which some proxies write with a port.
fn forwarded(entry: &str) -> Option<IpAddr> {
    let address = entry.parse::<IpAddr>();
    let socket = || {
        entry
            .parse()
            .map(|socket: std::net::SocketAddr| socket.ip())
    };
    let address = address.or_else(|_| socket()).ok()?;
    Some(address.to_canonical())
}

/// Who counts as one: an address of IPv4, or the subnet of 64 bits that a customer gets of IPv6.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let subnet = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(subnet))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> Option<String> {
        let proxies = Proxies::parse("loopback, 10.0.0.0/8, 192.0.2.7").unwrap();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let client = proxies.client(peer.parse().unwrap(), &headers);
        client.map(|address| address.to_string())
    }

    #[test]
    fn only_a_trusted_proxy_says_where_a_request_comes_from() {
        let is = |peer, forwarded: &[&str], expected: &str| {
            assert_eq!(
                client(peer, forwarded).as_deref(),
                Some(expected),
                "{peer} {forwarded:?}"
            );
        };
        is("198.51.100.1", &[], "198.51.100.1");
        is("198.51.100.1", &["203.0.113.5"], "198.51.100.1");
        is("127.0.0.1", &["203.0.113.5"], "203.0.113.5");
        is("::ffff:127.0.0.1", &["203.0.113.5:4711"], "203.0.113.5");
        is("::1", &["[2001:db8::1]:80"], "2001:db8::1");
        // What a client has written itself stands further left.
        is("127.0.0.1", &["127.0.0.1, 203.0.113.5"], "203.0.113.5");
        is("127.0.0.1", &["8.8.8.8", "203.0.113.5"], "203.0.113.5");
        // Several proxies in a row.
        is(
            "127.0.0.1",
            &["8.8.8.8, 203.0.113.5, 10.1.1.1, 192.0.2.7"],
            "203.0.113.5",
        );
        is(
            "127.0.0.1",
            &["8.8.8.8, 203.0.113.5, 11.1.1.1, 192.0.2.7"],
            "11.1.1.1",
        );
        // Nonsense frees nobody from being counted.
        is("127.0.0.1", &["unknown"], "127.0.0.1");
        is("127.0.0.1", &[""], "127.0.0.1");
        is("127.0.0.1", &["203.0.113.5, 1.2.3"], "127.0.0.1");
    }

    #[test]
    fn who_is_trusted_and_forwards_nothing_is_nobody() {
        assert_eq!(client("127.0.0.1", &[]), None);
        assert_eq!(client("127.0.0.1", &["10.0.0.1"]), None);
    }

    #[test]
    fn networks_are_read_strictly() {
        let private = Proxies::parse("private").unwrap();
        for address in [
            "10.9.8.7",
            "172.31.0.1",
            "192.168.1.1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(private.contains(address.parse().unwrap()), "{address}");
        }
        for address in ["172.32.0.1", "11.0.0.1", "127.0.0.1", "2001:db8::1"] {
            assert!(!private.contains(address.parse().unwrap()), "{address}");
        }
        assert!(
            !Proxies::parse("")
                .unwrap()
                .contains("127.0.0.1".parse().unwrap())
        );
        for text in [
            "example.com",
            "10.0.0.0/33",
            "10.0.0",
            "*",
            "0x7f000001",
            "10.0.0.0/8;::1",
        ] {
            assert!(Proxies::parse(text).is_err(), "{text}");
        }
    }
}
