//! Who may use `/offer` and `/ws`: our own page, programs that are no browser, and pages that were allowed by name.
//!
//! A browser lets any web site open a WebSocket to, or post to, `127.0.0.1`, and says in `Origin` which site it was
//! (RFC 6454). With DNS rebinding a site points its own name at this machine, and then its `Origin` and `Host` agree;
//! what gives it away is that `Host` is then a name. So: `Host` must be an IP address, `localhost`, or allowed by
//! name, and `Origin`, if there is one, must be the same place as `Host`, or allowed by name.
//!
//! The port in `Host` is not compared with the port we listen on: whoever comes through a forwarded port names that
//! one in both headers, and a page from another port of this machine still differs in `Origin`.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, StatusCode};

use super::problem::Problem;

/// The origins that were allowed by name.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// Scheme and authority, in lower case.
    allowed: Vec<(String, String)>,
}

impl Origins {
    pub(super) fn new(allowed: &[String]) -> Origins {
        Origins {
            allowed: allowed.iter().filter_map(|origin| split(origin)).collect(),
        }
    }

    /// Checks the two headers of a request.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(host) = only(headers, HOST).filter(|host| !host.is_empty()) else {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "the request has no single Host header",
                "send HTTP/1.1 with one Host header, as every browser and HTTP library does",
            ));
        };
        let host = host.to_ascii_lowercase();
        let by_name = self
            .allowed
            .iter()
            .any(|(scheme, authority)| same(authority, &host, scheme));
        if !by_name && !is_address_or_localhost(&host) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "the Host header is neither an IP address nor localhost nor an allowed name",
                "open the page by its IP address or localhost, or allow its origin in the server's configuration",
            ));
        }
        if !headers.contains_key(ORIGIN) {
            return Ok(());
        }
        let ours = only(headers, ORIGIN).and_then(split).is_some_and(|origin| {
            same(&origin.1, &host, &origin.0) || self.allowed.contains(&origin)
        });
        if ours {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the Origin header names another web site than this server",
            "use the page that this server serves, or allow the origin in the server's configuration",
        ))
    }
}

/// Gives the value of a header that must come once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Splits an origin into scheme and authority; `None` for `null` and for what is no origin of a web page.
fn split(origin: &str) -> Option<(String, String)> {
    let origin = origin.trim_end_matches('/').to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://")?;
    let plain = !authority.is_empty() && !authority.contains(['/', '@', '?', '#']);
    (matches!(scheme, "http" | "https") && plain).then(|| {
        let authority = without_default_port(authority, scheme);
        (scheme.to_owned(), authority.to_owned())
    })
}

/// Compares an origin's authority with a Host header, which leaves out the default port of the origin's scheme.
fn same(authority: &str, host: &str, scheme: &str) -> bool {
    authority == without_default_port(host, scheme)
}

fn without_default_port<'a>(authority: &'a str, scheme: &str) -> &'a str {
    let port = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

fn is_address_or_localhost(host: &str) -> bool {
    if host.parse::<std::net::SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
        return true;
    }
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        Some(_) => return false,
        None => host,
    };
    // Browsers resolve everything under .localhost to this machine themselves (RFC 6761).
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn check(allowed: &[&str], host: Option<&str>, origin: Option<&str>) -> Result<(), StatusCode> {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        }
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        let allowed: Vec<_> = allowed.iter().map(|origin| origin.to_string()).collect();
        Origins::new(&allowed)
            .check(&headers)
            .map_err(|problem| problem.status)
    }

    const NO: Result<(), StatusCode> = Err(StatusCode::FORBIDDEN);

    #[test]
    fn our_own_page_and_programs_without_origin_pass() {
        for host in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "localhost:8080",
            "LOCALHOST",
            "[::1]:8080",
            "[::1]",
            "192.168.1.5:80",
        ] {
            assert_eq!(check(&[], Some(host), None), Ok(()), "{host}");
            assert_eq!(
                check(&[], Some(host), Some(&format!("http://{host}"))),
                Ok(()),
                "{host}"
            );
        }
    }

    #[test]
    fn a_default_port_may_be_written_or_left_out() {
        assert_eq!(
            check(&[], Some("localhost:80"), Some("http://localhost")),
            Ok(())
        );
        assert_eq!(
            check(&[], Some("localhost"), Some("http://localhost:80")),
            Ok(())
        );
        assert_eq!(
            check(&[], Some("localhost:443"), Some("https://localhost")),
            Ok(())
        );
        assert_eq!(
            check(&[], Some("localhost:443"), Some("http://localhost")),
            NO
        );
    }

    #[test]
    fn another_web_site_is_refused() {
        for origin in [
            "https://evil.example",
            "http://localhost:3000",
            "http://127.0.0.1",
            "null",
            "",
            "file://",
            "http://127.0.0.1:8080.evil.example",
            "http://127.0.0.1:8080@evil.example",
            "http://evil.example/127.0.0.1:8080",
            "chrome-extension://127.0.0.1:8080",
        ] {
            assert_eq!(
                check(&[], Some("127.0.0.1:8080"), Some(origin)),
                NO,
                "{origin}"
            );
        }
    }

    #[test]
    fn a_rebound_name_is_refused_although_origin_and_host_agree() {
        for host in [
            "evil.example:8080",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example:80",
            "a:b:c",
        ] {
            assert_eq!(
                check(&[], Some(host), Some(&format!("http://{host}"))),
                NO,
                "{host}"
            );
            assert_eq!(check(&[], Some(host), None), NO, "{host}");
        }
    }

    #[test]
    fn an_allowed_origin_passes_as_host_and_as_origin() {
        let allowed = ["https://Media.example.com/"];
        assert_eq!(
            check(
                &allowed,
                Some("media.example.com"),
                Some("https://media.example.com")
            ),
            Ok(())
        );
        assert_eq!(
            check(
                &allowed,
                Some("127.0.0.1:8080"),
                Some("https://media.example.com")
            ),
            Ok(())
        );
        assert_eq!(
            check(
                &allowed,
                Some("127.0.0.1:8080"),
                Some("http://media.example.com")
            ),
            NO
        );
        assert_eq!(
            check(
                &allowed,
                Some("media.example.com"),
                Some("https://evil.example")
            ),
            NO
        );
    }

    #[test]
    fn headers_that_come_twice_are_refused() {
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("127.0.0.1"));
        headers.append(ORIGIN, HeaderValue::from_static("http://127.0.0.1"));
        headers.append(ORIGIN, HeaderValue::from_static("http://evil.example"));
        assert!(Origins::default().check(&headers).is_err());
        assert_eq!(check(&[], None, None), Err(StatusCode::BAD_REQUEST));
    }
}
