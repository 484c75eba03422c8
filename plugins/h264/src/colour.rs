//! [`vui`]: the colours of pictures in the words of the library's encoder.

use levada_plugin::colour::Colour;
use openh264::encoder::{ColorPrimaries, MatrixCoefficients, TransferCharacteristics, VuiConfig};

/// What the encoder is to write of these colours; `None` where nothing is stated.
///
/// The library writes all or nothing: what is not stated becomes limited range, which is what a stream without
/// it has, and "unspecified". So does what it has no word for, as the primaries of Display P3.
pub fn vui(colour: Colour) -> Option<VuiConfig> {
    (colour != Colour::default()).then(|| {
        VuiConfig::new()
            .full_range(colour.full_range.unwrap_or(false))
            .color_primaries(primaries(colour.primaries))
            .transfer_characteristics(transfer(colour.transfer))
            .matrix_coefficients(matrix(colour.matrix))
    })
}

fn primaries(stated: Option<u8>) -> ColorPrimaries {
    match stated {
        Some(1) => ColorPrimaries::Bt709,
        Some(4) => ColorPrimaries::Bt470M,
        Some(5) => ColorPrimaries::Bt470BG,
        Some(6) => ColorPrimaries::Smpte170M,
        Some(7) => ColorPrimaries::Smpte240M,
        Some(8) => ColorPrimaries::Film,
        Some(9) => ColorPrimaries::Bt2020,
        _ => ColorPrimaries::Unspecified,
    }
}

fn transfer(stated: Option<u8>) -> TransferCharacteristics {
    match stated {
        Some(1) => TransferCharacteristics::Bt709,
        Some(4) => TransferCharacteristics::Bt470M,
        Some(5) => TransferCharacteristics::Bt470Bg,
        Some(6) => TransferCharacteristics::Smpte170M,
        Some(7) => TransferCharacteristics::Smpte240M,
        Some(8) => TransferCharacteristics::Linear,
        Some(13) => TransferCharacteristics::Srgb,
        Some(14) => TransferCharacteristics::Bt2020_10,
        Some(15) => TransferCharacteristics::Bt2020_12,
        Some(16) => TransferCharacteristics::Smpte2084,
        Some(18) => TransferCharacteristics::Hlg,
        _ => TransferCharacteristics::Unspecified,
    }
}

/// Without 0, which says that there is no brightness among the planes: H.264 has it for 4:4:4 only.
fn matrix(stated: Option<u8>) -> MatrixCoefficients {
    match stated {
        Some(1) => MatrixCoefficients::Bt709,
        Some(4) => MatrixCoefficients::Fcc,
        Some(5) => MatrixCoefficients::Bt470Bg,
        Some(6) => MatrixCoefficients::Smpte170M,
        Some(7) => MatrixCoefficients::Smpte240M,
        Some(8) => MatrixCoefficients::Ycgco,
        Some(9) => MatrixCoefficients::Bt2020Ncl,
        Some(10) => MatrixCoefficients::Bt2020Cl,
        _ => MatrixCoefficients::Unspecified,
    }
}
