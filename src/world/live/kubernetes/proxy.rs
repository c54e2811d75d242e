//! Which proxy stands before a cluster: `proxy-url` of its kubeconfig, else `HTTPS_PROXY`, unless `NO_PROXY` names the
//! cluster's host. Source: client-go's `http.ProxyFromEnvironment`; golang.org/x/net/http/httpproxy.
//!
//! The library's own look at `NO_PROXY` compares the proxy's host and not the cluster's, so it is not used.

use std::net::IpAddr;

/// The proxy for a URL by the variables of the environment; `None` where there is none or the host needs none.
#[expect(clippy::disallowed_methods, reason = "this is the seam to the network: it reads its variables")]
pub(super) fn of_environment(url: &http::Uri) -> Option<String> {
    let variable = |name: &str| {
        let found = std::env::var(name).or_else(|_| std::env::var(name.to_lowercase())).ok();
        found.filter(|value| !value.is_empty())
    };
    let name = if url.scheme_str() == Some("http") { "HTTP_PROXY" } else { "HTTPS_PROXY" };
    let proxy = variable(name)?;
    let without = variable("NO_PROXY").unwrap_or_default();
    (!spared(url, &without)).then(|| if proxy.contains("://") { proxy } else { format!("http://{proxy}") })
}

/// Whether `NO_PROXY` spares this URL: `*`, a domain with its subdomains, `.domain` for subdomains only, an address, a range,
/// each with a port or without. Loopback is always spared, as in Go.
pub(super) fn spared(url: &http::Uri, without: &str) -> bool {
    let Some(host) = url.host() else { return true };
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|a| a.is_loopback()) {
        return true;
    }
    without.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Some(address), Some((net, bits))) = (address, entry.split_once('/')) {
            return within(address, net, bits);
        }
        let (name, wanted) = match entry.rsplit_once(':') {
            Some((name, number)) if !name.contains(':') || name.ends_with(']') => (name, number.parse::<u16>().ok()),
            _ => (entry.as_str(), None),
        };
        if wanted.is_some_and(|wanted| wanted != port) {
            return false;
        }
        let name = name.trim_matches(['[', ']']);
        if let Some(address) = address {
            return name.parse() == Ok(address);
        }
        let name = name.strip_prefix('*').unwrap_or(name);
        match name.strip_prefix('.') {
            Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
            None => host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
        }
    })
}

fn within(address: IpAddr, net: &str, bits: &str) -> bool {
    let (Ok(net), Ok(bits)) = (net.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let (a, b, width) = match (address, net) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    bits <= width && (bits == 0 || (a ^ b) >> (width - bits) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_names_hosts_domains_addresses_and_ranges() {
        let url = |text: &str| text.parse::<http::Uri>().unwrap();
        let eks = url("https://ABCD.gr7.eu-central-1.eks.amazonaws.com");
        for spares in ["*", ".eks.amazonaws.com", "amazonaws.com", "*.amazonaws.com", "x, eks.amazonaws.com:443"] {
            assert!(spared(&eks, spares), "{spares}");
        }
        for does_not in ["", "aws.com", "eks.amazonaws.com:6443", "abcd", "10.0.0.0/8"] {
            assert!(!spared(&eks, does_not), "{does_not}");
        }
        let private = url("https://10.1.2.3:6443");
        assert!(spared(&private, "10.0.0.0/8") && spared(&private, "10.1.2.3") && spared(&private, "10.1.2.3:6443"));
        assert!(
            !spared(&private, "10.1.2.3:443") && !spared(&private, "10.2.0.0/16") && !spared(&private, "10.1.2.0/99")
        );
        assert!(spared(&url("https://127.0.0.1:16443"), "") && spared(&url("https://[::1]:6443"), ""));
        assert!(spared(&url("https://[fd00::1]:6443"), "fd00::/8"));
    }
}
