//! [`Codec`]: what tells AAC from MP3.

use levada_plugin::{Error, Format, Result};
use symphonia_bundle_mp3::MpaDecoder;
use symphonia_codec_aac::AacDecoder;
use symphonia_core::codecs::audio::{
    AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
    well_known::{CODEC_ID_AAC, CODEC_ID_MP3},
};

/// A codec of this crate.
pub(crate) trait Codec: Send + 'static {
    /// The node type's name.
    const NAME: &'static str;
    /// What the node type does.
    const SUMMARY: &'static str;
    /// The encoding that it takes, as formats name it.
    const ENCODING: &'static str;
    /// The same as the pattern of a port.
    const PATTERN: &'static str;

    /// Makes a decoder for a format of this encoding.
    ///
    /// # Errors
    /// When the format's configuration is missing or describes what the codec cannot decode.
    fn open(format: &Format) -> Result<Box<dyn AudioDecoder>>;
}

/// AAC-LC: raw access units, with the AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) as the format's configuration.
pub(crate) struct Aac;

impl Codec for Aac {
    const NAME: &'static str = "aac-decoder";
    const SUMMARY: &'static str = "Decodes AAC-LC packets";
    const ENCODING: &'static str = "aac";
    const PATTERN: &'static str = "audio/aac";

    fn open(format: &Format) -> Result<Box<dyn AudioDecoder>> {
        if format.config.is_empty() {
            return Err(Error::new(
                "audio/aac came without its AudioSpecificConfig, which belongs into the format's configuration",
            ));
        }
        let mut params = AudioCodecParameters::new();
        params
            .for_codec(CODEC_ID_AAC)
            .with_extra_data(format.config.as_slice().into());
        let decoder = AacDecoder::try_new(&params, &AudioDecoderOptions::default());
        let decoder = decoder.map_err(|cause| {
            Error::new(format_args!(
                "aac-decoder decodes AAC-LC of up to 2 channels, and this stream is another kind: {cause}"
            ))
        })?;
        Ok(Box::new(decoder))
    }
}

/// MP3: one frame a packet, header included.
pub(crate) struct Mp3;

impl Codec for Mp3 {
    const NAME: &'static str = "mp3-decoder";
    const SUMMARY: &'static str = "Decodes MP3 packets";
    const ENCODING: &'static str = "mp3";
    const PATTERN: &'static str = "audio/mp3";

    fn open(_format: &Format) -> Result<Box<dyn AudioDecoder>> {
        let mut params = AudioCodecParameters::new();
        params.for_codec(CODEC_ID_MP3);
        Ok(Box::new(MpaDecoder::try_new(
            &params,
            &AudioDecoderOptions::default(),
        )?))
    }
}
