//! Which addresses a grant may connect to (THREATS 5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Which addresses a destination may resolve to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize, Default,
)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Globally routable addresses only.
    #[default]
    Public,
    /// RFC 1918, RFC 6598 and unique local addresses.
    Private,
    /// 127.0.0.0/8 and ::1.
    Loopback,
}

impl Network {
    /// Whether an address is of this class.
    pub(crate) fn admits(self, address: IpAddr) -> bool {
        class_of(address.to_canonical()) == Some(self)
    }
}

/// The class of an address in its canonical form (a v4 address in v6 clothes
/// is judged as v4); `None` for those that are never a destination.
fn class_of(address: IpAddr) -> Option<Network> {
    match address {
        _ if METADATA.contains(&address) => None,
        IpAddr::V4(address) => class_of_v4(address),
        IpAddr::V6(address) => class_of_v6(address),
    }
}

fn class_of_v4(address: Ipv4Addr) -> Option<Network> {
    let within = |nets: &[Ipv4Net]| nets.iter().any(|net| net.contains(&address));
    if address.is_loopback() {
        Some(Network::Loopback)
    } else if within(&PRIVATE_V4) {
        Some(Network::Private)
    } else if within(&NEVER_V4) {
        None
    } else {
        Some(Network::Public)
    }
}

fn class_of_v6(address: Ipv6Addr) -> Option<Network> {
    if address.is_loopback() {
        Some(Network::Loopback)
    } else if UNIQUE_LOCAL.contains(&address) {
        Some(Network::Private)
    } else if GLOBAL_UNICAST.contains(&address)
        && !NEVER_V6.iter().any(|net| net.contains(&address))
    {
        Some(Network::Public)
    } else {
        None
    }
}

/// Where clouds hand credentials to whoever asks.
const METADATA: [IpAddr; 6] = [
    // AWS, GCP, Azure, OpenStack, DigitalOcean.
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    // AWS ECS task credentials.
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    // Azure's wire server: a public address that every virtual machine reaches.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // Alibaba Cloud; inside RFC 6598.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // AWS and GCP over IPv6; both are unique local addresses.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(first: u16, second: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), prefix)
}

const PRIVATE_V4: [Ipv4Net; 4] = [
    v4(10, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    // Shared address space, RFC 6598.
    v4(100, 64, 0, 0, 10),
];

/// IANA's special-purpose registry, and what is not unicast.
const NEVER_V4: [Ipv4Net; 11] = [
    // This network.
    v4(0, 0, 0, 0, 8),
    // Link-local.
    v4(169, 254, 0, 0, 16),
    // Protocol assignments.
    v4(192, 0, 0, 0, 24),
    // Documentation.
    v4(192, 0, 2, 0, 24),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    // AS112 and 6to4 relays.
    v4(192, 31, 196, 0, 24),
    v4(192, 88, 99, 0, 24),
    // Benchmarking.
    v4(198, 18, 0, 0, 15),
    // Multicast.
    v4(224, 0, 0, 0, 4),
    // Reserved, and the broadcast address.
    v4(240, 0, 0, 0, 4),
];

const UNIQUE_LOCAL: Ipv6Net = v6(0xfc00, 0, 7);

/// The one range of which public addresses are given out. It leaves out `::`,
/// `::/96` (v4-compatible), 64:ff9b::/96 and 64:ff9b:1::/48 (NAT64), 100::/64
/// (discard), fe80::/10 (link-local), fec0::/10 (site-local), ff00::/8
/// (multicast).
const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 3);

/// What lies in [`GLOBAL_UNICAST`] and is not public.
const NEVER_V6: [Ipv6Net; 4] = [
    // Protocol assignments: Teredo, ORCHID, benchmarking and others.
    v6(0x2001, 0, 23),
    // Documentation.
    v6(0x2001, 0xdb8, 32),
    v6(0x3fff, 0, 20),
    // 6to4: a v4 address in disguise.
    v6(0x2002, 0, 16),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> Option<Network> {
        class_of(text.parse::<IpAddr>().unwrap().to_canonical())
    }

    #[test]
    fn public_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.216.34",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "9.255.255.255",
            "11.0.0.0",
            "126.0.0.1",
            "128.0.0.1",
            "168.63.129.17",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "2400::1",
        ] {
            assert_eq!(class(text), Some(Network::Public), "{text}");
        }
    }

    #[test]
    fn private_and_loopback_addresses_are_told_apart() {
        for text in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "fc00::1",
            "fd12:3456::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(class(text), Some(Network::Private), "{text}");
        }
        for text in [
            "127.0.0.1",
            "127.255.255.254",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:7f00:1",
        ] {
            assert_eq!(class(text), Some(Network::Loopback), "{text}");
        }
    }

    #[test]
    fn the_rest_is_never_a_destination() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::8.8.8.8",
            "::127.0.0.1",
            "::ffff:0:0",
            "::ffff:169.254.169.254",
            "::ffff:a9fe:a9fe",
            "::ffff:0:127.0.0.1",
            "64:ff9b::8.8.8.8",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            assert_eq!(class(text), None, "{text}");
            let address: IpAddr = text.parse().unwrap();
            for network in [Network::Public, Network::Private, Network::Loopback] {
                assert!(!network.admits(address), "{text} {network:?}");
            }
        }
    }

    #[test]
    fn a_network_admits_only_its_own_class() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(Network::Loopback.admits(loopback));
        assert!(!Network::Private.admits(loopback));
        assert!(!Network::Public.admits(loopback));
    }
}
