//! The web page, compiled in: one HTML file, one ES module, one style sheet, one icon. Nothing is loaded from elsewhere.

/// One file of the page.
pub(crate) struct File {
    /// Where it is served.
    pub path: &'static str,
    /// Its media type.
    pub mime: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// All files of the page.
pub(crate) const FILES: [File; 4] = [
    File {
        path: "/",
        mime: "text/html; charset=utf-8",
        text: include_str!("../web/index.html"),
    },
    File {
        path: "/client.js",
        mime: "text/javascript; charset=utf-8",
        text: include_str!("../web/client.js"),
    },
    File {
        path: "/client.css",
        mime: "text/css; charset=utf-8",
        text: include_str!("../web/client.css"),
    },
    File {
        path: "/icon.svg",
        mime: "image/svg+xml",
        text: include_str!("../web/icon.svg"),
    },
];

/// What the page may load and do: its own files and its own server, nothing else, and nobody may frame it.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";
