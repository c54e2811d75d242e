//! IP networks.

use super::{
    Answer, Context, Function, Problem, blame, function, list_of_texts, num, number, size, string, text, variadic,
    whole,
};
use crate::base::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const TABLE: &[Function] = &[
    function(
        "cidrcontains",
        &[string("prefix"), string("address")],
        "whether an address or network lies in the network",
        contains,
    ),
    function(
        "cidrhost",
        &[string("prefix"), number("host")],
        "an address in the network; negative counts from its end",
        host,
    ),
    function("cidrnetmask", &[string("prefix")], "the network's mask, as of IPv4", netmask),
    function(
        "cidrsubnet",
        &[string("prefix"), number("newbits"), number("number")],
        "the network of that number, its prefix longer by newbits",
        subnet,
    ),
    variadic(
        "cidrsubnets",
        &[string("prefix")],
        number("newbits"),
        "networks one behind the other, each prefix longer by its newbits",
        subnets,
    ),
];

/// A network: its bits from the left, how many of them count, and how many there are.
#[derive(Clone, Copy)]
struct Network {
    bits: u128,
    length: u32,
    width: u32,
}

impl Network {
    fn new(bits: u128, length: u32, width: u32) -> Self {
        let host = width - length;
        let masked = if host >= 128 { 0 } else { bits >> host << host };
        Self { bits: masked, length, width }
    }

    fn read(arguments: &[Value], at: usize) -> Result<Self, Problem> {
        let given = text(arguments, at);
        let refuse = || blame(at, format!("{given:?} is no network; write one like 10.0.0.0/16"));
        let Some((address, length)) = given.split_once('/') else { return refuse() };
        let Ok(address) = address.parse::<IpAddr>() else { return refuse() };
        let (bits, width) = parts(address);
        match length.parse::<u32>() {
            Ok(length) if length <= width => Ok(Self::new(bits, length, width)),
            _ => refuse(),
        }
    }

    /// The last address.
    fn last(self) -> u128 {
        let host = self.width - self.length;
        self.bits | if host >= 128 { u128::MAX } else { (1u128 << host) - 1 }
    }

    fn address(self, bits: u128) -> String {
        if self.width == 32 {
            Ipv4Addr::from(u32::try_from(bits & u128::from(u32::MAX)).unwrap_or_default()).to_string()
        } else {
            Ipv6Addr::from(bits).to_string()
        }
    }

    fn text(self) -> String {
        format!("{}/{}", self.address(self.bits), self.length)
    }

    fn contains(self, other: u128) -> bool {
        (self.bits..=self.last()).contains(&other)
    }
}

fn parts(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    }
}

fn contains(arguments: &[Value], _: &Context<'_>) -> Answer {
    let outer = Network::read(arguments, 0)?;
    let inner = match text(arguments, 1).parse::<IpAddr>() {
        Ok(address) => {
            let (bits, width) = parts(address);
            Network::new(bits, width, width)
        }
        Err(_) => Network::read(arguments, 1)?,
    };
    if inner.width != outer.width {
        return blame(1, "one is of IPv4, the other of IPv6");
    }
    Ok((outer.contains(inner.bits) && outer.contains(inner.last())).into())
}

fn host(arguments: &[Value], _: &Context<'_>) -> Answer {
    let network = Network::read(arguments, 0)?;
    let Ok(number) = num(arguments, 1).to_string().parse::<i128>() else {
        return blame(1, "it must be a whole number");
    };
    let room = network.last() - network.bits;
    let found = if number < 0 {
        (number.unsigned_abs() - 1 <= room).then(|| network.last() - (number.unsigned_abs() - 1))
    } else {
        (number.unsigned_abs() <= room).then(|| network.bits + number.unsigned_abs())
    };
    match found {
        Some(bits) => Ok(network.address(bits).into()),
        None => blame(1, format!("{} has no host {number}", network.text())),
    }
}

fn netmask(arguments: &[Value], _: &Context<'_>) -> Answer {
    let network = Network::read(arguments, 0)?;
    if network.width != 32 {
        return blame(0, "only networks of IPv4 have a mask");
    }
    Ok(network.address(Network::new(u128::from(u32::MAX), network.length, 32).bits).into())
}

fn subnet(arguments: &[Value], _: &Context<'_>) -> Answer {
    let network = Network::read(arguments, 0)?;
    let length = longer(network, size(arguments, 1)?, 1)?;
    let Ok(number) = num(arguments, 2).to_string().parse::<u128>() else {
        return blame(2, "it must be a whole number, not negative");
    };
    let newbits = length - network.length;
    if newbits < 128 && number >> newbits != 0 {
        return blame(2, format!("a prefix longer by {newbits} has no network number {number}"));
    }
    let shift = network.width - length;
    let bits = network.bits | if shift >= 128 { 0 } else { number << shift };
    Ok(Network::new(bits, length, network.width).text().into())
}

fn longer(network: Network, newbits: usize, at: usize) -> Result<u32, Problem> {
    match u32::try_from(newbits).ok().and_then(|n| n.checked_add(network.length)).filter(|n| *n <= network.width) {
        Some(length) => Ok(length),
        None => blame(at, format!("a prefix of {} has no {newbits} bits left", network.length)),
    }
}

fn subnets(arguments: &[Value], _: &Context<'_>) -> Answer {
    let network = Network::read(arguments, 0)?;
    let mut next = network.bits;
    let mut full = false;
    let mut out = Vec::new();
    for at in 1..arguments.len() {
        if !(1..=32).contains(&whole(arguments, at)?) {
            return blame(at, "a prefix is made longer by 1 to 32 bits");
        }
        let length = longer(network, size(arguments, at)?, at)?;
        let block = Network::new(next, length, network.width);
        // The next block of this size that does not begin before the former one ended.
        let block = if block.bits < next {
            match block.last().checked_add(1) {
                Some(after) => Network::new(after, length, network.width),
                None => return blame(at, "there is no room left in the network"),
            }
        } else {
            block
        };
        if full || !network.contains(block.bits) {
            return blame(at, "there is no room left in the network");
        }
        out.push(block.text());
        match block.last().checked_add(1) {
            Some(after) => next = after,
            None => full = true,
        }
    }
    Ok(list_of_texts(out))
}
