//! `Fn::Cidr`: equal blocks out of one, for IPv4 and IPv6.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The first `count` blocks of `2^bits` addresses each (`bits` is what the mask leaves free) out of `block`.
///
/// # Errors
/// In words, where the block is none, its mask leaves no room, or count or bits are out of range.
pub(super) fn cidr(block: &str, count: u32, bits: u32) -> Result<Vec<String>, String> {
    if !(1..=256).contains(&count) {
        return Err(format!("it makes 1 to 256 blocks, not {count}"));
    }
    let (address, mask) = block.split_once('/').ok_or_else(|| format!("`{block}` is no CIDR block"))?;
    let mask: u32 = mask.parse().map_err(|_| format!("`{block}` is no CIDR block"))?;
    let (first, width): (u128, u32) = if let Ok(v4) = address.parse::<Ipv4Addr>() {
        (u128::from(u32::from(v4)), 32)
    } else if let Ok(v6) = address.parse::<Ipv6Addr>() {
        (u128::from(v6), 128)
    } else {
        return Err(format!("`{block}` is no CIDR block"));
    };
    if mask > width || bits > width {
        return Err(format!("a mask has at most {width} bits"));
    }
    let new_mask = width - bits;
    let room = new_mask.checked_sub(mask).ok_or_else(|| format!("a /{new_mask} does not fit into {block}"))?;
    if room < 32 && (1_u64 << room) < u64::from(count) {
        return Err(format!("{block} holds {} blocks of /{new_mask}, not {count}", 1_u64 << room));
    }
    // The bits beyond the mask do not count.
    let free = width - mask;
    let base = if free >= 128 { 0 } else { first >> free << free };
    let step = |n: u32| if bits >= 128 { 0 } else { u128::from(n) << bits };
    Ok((0..count)
        .map(|n| {
            let address = base.wrapping_add(step(n));
            if width == 32 {
                let v4 = u32::try_from(address & u128::from(u32::MAX)).unwrap_or_default();
                format!("{}/{new_mask}", Ipv4Addr::from(v4))
            } else {
                format!("{}/{new_mask}", Ipv6Addr::from(address))
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_of_the_user_guide() {
        assert_eq!(
            cidr("192.168.0.0/24", 6, 5).unwrap(),
            [
                "192.168.0.0/27",
                "192.168.0.32/27",
                "192.168.0.64/27",
                "192.168.0.96/27",
                "192.168.0.128/27",
                "192.168.0.160/27"
            ]
        );
        assert_eq!(cidr("10.0.0.0/16", 6, 12).unwrap()[5], "10.0.80.0/20");
        assert_eq!(cidr("100.64.0.0/16", 3, 14).unwrap(), ["100.64.0.0/18", "100.64.64.0/18", "100.64.128.0/18"]);
        assert_eq!(cidr("2001:db8::/56", 2, 64).unwrap(), ["2001:db8::/64", "2001:db8:0:1::/64"]);
        assert_eq!(cidr("10.0.5.7/16", 1, 8).unwrap(), ["10.0.0.0/24"]);
        assert_eq!(cidr("0.0.0.0/0", 2, 31).unwrap(), ["0.0.0.0/1", "128.0.0.0/1"]);
    }

    #[test]
    fn what_does_not_fit_says_so() {
        for (block, count, bits) in [
            ("10.0.0.0/24", 3, 7),
            ("10.0.0.0/24", 0, 4),
            ("10.0.0.0/24", 257, 0),
            ("10.0.0.0/24", 1, 9),
            ("10.0.0.0", 1, 8),
            ("x/8", 1, 8),
            ("10.0.0.0/33", 1, 0),
            ("10.0.0.0/8", 1, 40),
            ("::/0", 1, 129),
        ] {
            assert!(cidr(block, count, bits).is_err(), "{block} {count} {bits}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_argument_makes_it_panic(a in "[0-9a-f:./]{0,20}", n in 0_u32..400, bits in 0_u32..200) {
            let _ = cidr(&a, n, bits);
        }
    }
}
