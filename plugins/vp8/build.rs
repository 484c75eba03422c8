//! Builds `src/encoder/vpx.c`, the little of libvpx that `vp8-encoder` needs, where that feature is asked for.

fn main() {
    println!("cargo::rerun-if-changed=src/encoder/vpx.c");
    #[cfg(feature = "encoder")]
    encoder();
}

#[cfg(feature = "encoder")]
fn encoder() {
    let library = match pkg_config::Config::new()
        .atleast_version("1.8")
        .probe("vpx")
    {
        Ok(library) => library,
        Err(cause) => {
            println!(
                "cargo::error=the feature \"encoder\" needs libvpx with its headers (Debian: libvpx-dev, pkg-config); \
                 install them, or build without the feature: {cause}"
            );
            return;
        }
    };
    cc::Build::new()
        .file("src/encoder/vpx.c")
        .includes(library.include_paths)
        .warnings_into_errors(true)
        .compile("levada_vpx");
}
