//! What tests of these nodes have in common.

use levada_plugin::{
    harness::{Harness, Value},
    picture::i420_bytes,
    prelude::*,
};

/// Even, odd, tiny and ordinary sizes, each other than the one before.
pub const SIZES: [(u32, u32); 7] = [(8, 6), (7, 5), (1, 1), (2, 3), (64, 33), (320, 180), (8, 6)];

/// A frame of pixels that depend on their place and on `seed`, at 7 ns, in memory of the host.
pub fn frame<N: Node>(harness: &Harness<N>, width: u32, height: u32, seed: usize) -> Result<Frame> {
    let mut loan = harness.loan(i420_bytes(width, height)?)?;
    for (at, byte) in loan.as_mut_slice().iter_mut().enumerate() {
        *byte = ((at + seed).wrapping_mul(2_654_435_761) >> 13) as u8;
    }
    Ok(Frame::new(Kind::Video, loan)
        .with_format_id(harness.format_id(&Format::video("i420", width, height)))
        .with_pts(7)
        .with_stream(1))
}

/// Fails unless the node copies a frame that is shared once, declares it, leaves the other's alone, and refuses what is
/// no picture with a remedy.
pub fn shared_frames_are_copied_once<N: Node>(params: &[(&str, Value)]) -> Result {
    let mut node = Harness::<N>::new(params)?;
    let input = frame(&node, 64, 33, 5)?;
    let (other, before) = (input.clone(), input.payload().to_vec());
    let out = node.push(0, vec![input])?;
    assert_ne!(out[0].1.payload().as_ptr(), other.payload().as_ptr());
    assert_eq!(other.payload(), before);
    assert_ne!(out[0].1.payload(), before);
    assert_eq!(node.bytes_copied(), before.len() as u64);

    let vp8 = node.format_id(&Format::video("vp8", 64, 33));
    let wrong = frame(&node, 64, 33, 5)?.with_format_id(vp8);
    let refused = node.push(0, vec![wrong]).err().map(|e| e.to_string());
    assert!(refused.is_some_and(|e| e.contains("video/vp8 64x33") && e.contains("decoder")));
    let large = node.format_id(&Format::video("i420", 640, 330));
    let short = frame(&node, 64, 33, 5)?.with_format_id(large);
    let refused = node.push(0, vec![short]).err().map(|e| e.to_string());
    assert!(refused.is_some_and(|e| e.contains("640x330")));
    Ok(())
}

/// Fails unless pictures leave the node with the colours that they came with, which may change, in this size.
pub fn colours_are_kept<N: Node>(params: &[(&str, Value)], size: (u32, u32)) -> Result {
    let mut node = Harness::<N>::new(params)?;
    for colour in [
        "range=full;matrix=bt709",
        "",
        "range=limited",
        "range=full;matrix=bt709",
    ] {
        let input = Format::video("i420", 64, 34).with_config(colour);
        let input = frame(&node, 64, 34, 5)?.with_format_id(node.format_id(&input));
        let out = node.push(0, vec![input])?;
        let format = Format::video("i420", size.0, size.1).with_config(colour);
        assert_eq!(node.format(out[0].1.format_id()), Some(format));
    }
    Ok(())
}
