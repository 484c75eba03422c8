//! `null`: releases what comes in.

use levada_plugin::prelude::*;

/// Releases every frame; the report says how many came.
///
/// **Inputs** `in`: any format. **Outputs** none. **Params** none. **Example**
/// `links = ["tone -> nothing"]` with `nothing = { type = "null" }`.
pub struct Null;

impl Node for Null {
    const NAME: &'static str = "null";
    const SUMMARY: &'static str = "Releases every frame that comes in";
    const PORTS: &'static [Port] = &[Port::input("in").read_only()];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::harness::Harness;

    #[test]
    fn nothing_comes_out_of_null() -> Result {
        let mut null = Harness::<Null>::new(&[])?;
        let frame = Frame::from_bytes(Kind::Data, "x".into());
        assert!(null.push(0, vec![frame])?.is_empty());
        Ok(())
    }
}
