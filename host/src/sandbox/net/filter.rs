//! Addresses that no name may lead to.
//!
//! Private networks are no matter of this filter: clusters live there.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Why nobody may reach an address, unless an entry of the check is that very address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Forbidden {
    /// This machine, or this pod.
    Loopback,
    /// The link, and most clouds' metadata.
    LinkLocal,
    /// Clouds' metadata elsewhere.
    Metadata,
    /// Groups.
    Multicast,
    /// All of the link.
    Broadcast,
    /// No address, which the system takes for this machine.
    Unspecified,
    /// IPv6 that nothing should use any more, and nobody's.
    Reserved,
}

/// Where clouds serve credentials, apart from link-local addresses: Alibaba, Azure, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// The same in IPv6: AWS, Google, Scaleway.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// Why an address may not be reached; nothing where it may.
pub(in super::super) fn forbidden(address: IpAddr) -> Option<Forbidden> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<Forbidden> {
    if METADATA_V4.contains(&address) || address == Ipv4Addr::new(169, 254, 169, 254) {
        return Some(Forbidden::Metadata);
    }
    match address.octets() {
        [0, ..] => Some(Forbidden::Unspecified),
        [127, ..] => Some(Forbidden::Loopback),
        [169, 254, ..] => Some(Forbidden::LinkLocal),
        [224..=239, ..] => Some(Forbidden::Multicast),
        [255, 255, 255, 255] => Some(Forbidden::Broadcast),
        [240..=255, ..] => Some(Forbidden::Reserved),
        _ => None,
    }
}

fn forbidden_v6(address: Ipv6Addr) -> Option<Forbidden> {
    if METADATA_V6.contains(&address) {
        return Some(Forbidden::Metadata);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Forbidden::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Forbidden::Loopback),
        [first, ..] if first & 0xffc0 == 0xfe80 => Some(Forbidden::LinkLocal),
        [first, ..] if first & 0xffc0 == 0xfec0 => Some(Forbidden::Reserved),
        [first, ..] if first & 0xff00 == 0xff00 => Some(Forbidden::Multicast),
        _ => inside(address).into_iter().flatten().find_map(forbidden_v4),
    }
}

/// The IPv4 addresses that an IPv6 one may lead to by the ways that there are to write or carry one in the other.
fn inside(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let join = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // NAT64's prefix for local use, in which the network's own may be longer or shorter.
        [0x64, 0xff9b, 1, ..] => local_nat64(address.octets()),
        // Teredo: the server, and the client in the negative.
        [0x2001, 0, high, low, _, _, client_high, client_low] => [join(high, low), join(!client_high, !client_low)],
        // IPv4-compatible, IPv4-mapped, IPv4-translated (SIIT), NAT64's well-known prefix, 6to4, and ISATAP.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [.., 0 | 0x200, 0x5efe, high, low] => [join(high, low), None],
        _ => [None, None],
    }
}

/// RFC 8215: below `64:ff9b:1::/48` the address stands where the network's prefix ends: after 48, 56, 64 or 96 bits, with
/// the bits 64 to 71 left out.
fn local_nat64(bytes: [u8; 16]) -> [Option<Ipv4Addr>; 2] {
    let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| bytes[place]));
    // Only one of the forms is meant, and which one is the network's secret: the first that is forbidden counts.
    let forms = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12]].map(at);
    let suspect = |form: &&Ipv4Addr| bytes[8] == 0 && form.octets()[0] != 0 && forbidden_v4(**form).is_some();
    [forms.iter().find(suspect).copied(), Some(at([12, 13, 14, 15]))]
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "an address of a cloud's metadata",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "a broadcast address",
            Self::Unspecified => "an unspecified address",
            Self::Reserved => "a reserved address",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<Forbidden> {
        forbidden(text.parse().unwrap())
    }

    #[test]
    fn addresses_of_this_machine_the_link_and_the_cloud_are_forbidden() {
        for (text, why) in [
            ("127.0.0.1", Forbidden::Loopback),
            ("127.255.255.254", Forbidden::Loopback),
            ("0.0.0.0", Forbidden::Unspecified),
            ("0.1.2.3", Forbidden::Unspecified),
            ("169.254.0.1", Forbidden::LinkLocal),
            ("169.254.169.254", Forbidden::Metadata),
            ("169.254.170.2", Forbidden::LinkLocal),
            ("100.100.100.200", Forbidden::Metadata),
            ("168.63.129.16", Forbidden::Metadata),
            ("192.0.0.192", Forbidden::Metadata),
            ("224.0.0.1", Forbidden::Multicast),
            ("239.255.255.255", Forbidden::Multicast),
            ("240.0.0.1", Forbidden::Reserved),
            ("255.255.255.255", Forbidden::Broadcast),
            ("::", Forbidden::Unspecified),
            ("::1", Forbidden::Loopback),
            ("fe80::1", Forbidden::LinkLocal),
            ("febf::1", Forbidden::LinkLocal),
            ("fec0::1", Forbidden::Reserved),
            ("ff02::1", Forbidden::Multicast),
            ("fd00:ec2::254", Forbidden::Metadata),
            ("fd20:ce::254", Forbidden::Metadata),
            ("fd00:42::42", Forbidden::Metadata),
        ] {
            assert_eq!(told(text), Some(why), "{text}");
        }
    }

    #[test]
    fn every_form_of_ipv4_in_ipv6_is_looked_into() {
        for text in [
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::127.0.0.1",
            "64:ff9b:1:7f00:0:100::",
            "64:ff9b:1:a7f:0:1::",
            "64:ff9b:1:a0a:7f:0:100:0",
            "2002:7f00:1::1",
            "2001:0:7f00:1::1",
            "2001:0:5db8:d822:0:0:80ff:fffe",
            "2001:db8::5efe:127.0.0.1",
            "2001:db8::200:5efe:127.0.0.1",
        ] {
            assert_eq!(told(text), Some(Forbidden::Loopback), "{text}");
        }
        for text in ["::ffff:169.254.169.254", "2002:a9fe:a9fe::", "64:ff9b::a9fe:a9fe", "64:ff9b::6464:64c8"] {
            assert_eq!(told(text), Some(Forbidden::Metadata), "{text}");
        }
    }

    #[test]
    fn private_networks_and_the_internet_are_not() {
        for text in [
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "100.64.0.1",
            "1.1.1.1",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "223.255.255.255",
            "2606:4700::1111",
            "fd00::1",
            "fc00:1::2",
            "::ffff:10.0.0.1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::10.0.0.5",
            "2002:808:808::1",
            "2001:db8::1",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
