//! From a stream's format, and its first unit, to the description of a track, which MP4 and Matroska share, and how its
//! units become what lies in the file.

use std::num::NonZeroU32;

use levada_plugin::{colour::Colour, prelude::*};
use shiguredo_mp4::{
    FixedPointNumber, Uint,
    bitstream::{
        av1::{self, Av1ObuParseContext, Av1ObuType, Av1SampleEntryConfig},
        h264::{self, H264SampleEntryConfig, LengthSize},
        opus::{self, ChannelCount, OpusSampleEntryConfig},
        vp8::{self, Vp8SampleEntryConfig},
        vp9::{self, Vp9FrameSize, Vp9SampleEntryConfig},
    },
    boxes::{AudioSampleEntryFields, EsdsBox, Mp4aBox, SampleEntry},
    descriptors::{DecoderConfigDescriptor, DecoderSpecificInfo, EsDescriptor, SlConfigDescriptor},
};

/// Units of time in a second of a track of pictures.
const VIDEO_SCALE: NonZeroU32 = NonZeroU32::new(90_000).expect("it is not 0");

/// How a track's units become samples.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// They are samples.
    AsItIs,
    /// Start codes become lengths.
    AnnexB,
    /// AV1, whose temporal delimiters stay away.
    Obus,
}

impl Coding {
    /// Appends a unit as the file holds it; `false`, and nothing of use is appended, when it is malformed.
    pub fn append(self, unit: &[u8], to: &mut Vec<u8>) -> bool {
        match self {
            Coding::AsItIs => to.extend_from_slice(unit),
            Coding::AnnexB => {
                let Ok(nals) = h264::parse_annexb_nal_units(unit) else {
                    return false;
                };
                for nal in nals {
                    let len = u32::try_from(nal.data.len()).unwrap_or(u32::MAX);
                    to.extend_from_slice(&len.to_be_bytes());
                    to.extend_from_slice(nal.data);
                }
            }
            Coding::Obus => {
                let Ok(obus) = av1::parse_obus(unit, Av1ObuParseContext::Sample) else {
                    return false;
                };
                for obu in obus {
                    if obu.obu_type != Av1ObuType::TemporalDelimiter {
                        to.extend_from_slice(obu.obu);
                    }
                }
            }
        }
        true
    }
}

/// What a track's description needs.
pub(super) struct Description {
    pub entry: SampleEntry,
    /// Units of time in a second.
    pub scale: NonZeroU32,
    pub coding: Coding,
}

/// Describes a stream by its format and its first unit; `None` when a later unit may tell more.
///
/// # Errors
/// When the format is of a kind that is not recorded.
pub(super) fn describe(format: &Format, unit: &[u8]) -> Result<Option<Description>> {
    match (format.media, format.encoding.as_str()) {
        (Media::Audio { channels, .. }, "opus") => {
            opus_channels(channels).map(|count| Some(opus(count)))
        }
        (Media::Audio { rate, channels }, "aac") => aac(rate, channels, &format.config).map(Some),
        (Media::Video { .. }, "h264") => Ok(h264(unit)),
        (Media::Video { .. }, "vp8") => Ok(vp8(format, unit)),
        (Media::Video { .. }, "vp9") => Ok(vp9(unit)),
        (Media::Video { .. }, "av1") => Ok(av1(unit)),
        _ => Err(Error::new(format_args!(
            "{format:?} is not recorded; Opus, AAC, H.264, VP8, VP9 and AV1 are"
        ))),
    }
}

/// How many channels of Opus a file states, one or two. More are in several streams, whose order would have to be told.
///
/// # Errors
/// When there are more.
pub(super) fn opus_channels(channels: u32) -> Result<u8> {
    match channels {
        1 => Ok(1),
        // Where nobody says, two lose nothing.
        0 | 2 => Ok(2),
        _ => Err(Error::new(format_args!(
            "Opus of {channels} channels is not recorded; one or two are"
        ))),
    }
}

fn opus(channels: u8) -> Description {
    let channel_count = if channels == 1 {
        ChannelCount::Mono
    } else {
        ChannelCount::Stereo
    };
    let config = OpusSampleEntryConfig {
        channel_count,
        // A recording begins in the midst of a stream: nothing only primes the decoder.
        pre_skip: 0,
        input_sample_rate: 48_000,
        output_gain: 0,
    };
    Description {
        entry: SampleEntry::Opus(opus::build_opus_box(&config)),
        scale: NonZeroU32::new(48_000).unwrap_or(VIDEO_SCALE),
        coding: Coding::AsItIs,
    }
}

fn aac(rate: u32, channels: u32, config: &[u8]) -> Result<Description> {
    let scale = NonZeroU32::new(rate).filter(|_| !config.is_empty());
    let Some(scale) = scale else {
        return Err(Error::new(
            "audio/aac came without its rate or AudioSpecificConfig, which belong into the format",
        ));
    };
    let codec = DecoderConfigDescriptor {
        object_type_indication:
            DecoderConfigDescriptor::OBJECT_TYPE_INDICATION_AUDIO_ISO_IEC_14496_3,
        stream_type: DecoderConfigDescriptor::STREAM_TYPE_AUDIO,
        up_stream: DecoderConfigDescriptor::UP_STREAM_FALSE,
        buffer_size_db: Uint::new(0),
        max_bitrate: 0,
        avg_bitrate: 0,
        dec_specific_info: Some(DecoderSpecificInfo {
            payload: config.to_vec(),
        }),
    };
    let entry = Mp4aBox {
        audio: AudioSampleEntryFields {
            data_reference_index: AudioSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
            channelcount: channels.try_into().unwrap_or(2),
            samplesize: AudioSampleEntryFields::DEFAULT_SAMPLESIZE,
            // Rates beyond 16 bits stand in the AudioSpecificConfig alone.
            samplerate: FixedPointNumber::new(rate.try_into().unwrap_or(0), 0),
        },
        esds_box: EsdsBox {
            es: EsDescriptor {
                es_id: EsDescriptor::MIN_ES_ID,
                stream_priority: EsDescriptor::LOWEST_STREAM_PRIORITY,
                depends_on_es_id: None,
                url_string: None,
                ocr_es_id: None,
                dec_config_descr: codec,
                sl_config_descr: SlConfigDescriptor,
            },
        },
        unknown_boxes: vec![],
    };
    Ok(Description {
        entry: SampleEntry::Mp4a(entry),
        scale,
        coding: Coding::AsItIs,
    })
}

/// Needs a keyframe with its parameter sets.
fn h264(unit: &[u8]) -> Option<Description> {
    let config = H264SampleEntryConfig {
        length_size: LengthSize::FourBytes,
    };
    let entry = h264::build_avc1_box_from_annexb(unit, &config).ok()?;
    Some(Description {
        entry: SampleEntry::Avc1(entry),
        scale: VIDEO_SCALE,
        coding: Coding::AnnexB,
    })
}

/// Needs a keyframe, which says its size. What the format does not state of the colours is what VP8 means by itself.
fn vp8(format: &Format, unit: &[u8]) -> Option<Description> {
    let key = vp8::parse_frame_header(unit).ok()?.keyframe?;
    let colour = Colour::of(format);
    let config = Vp8SampleEntryConfig {
        video_full_range_flag: colour.full_range.unwrap_or(false),
        colour_primaries: colour
            .primaries
            .unwrap_or(Vp8SampleEntryConfig::COLOUR_PRIMARIES_BT601),
        transfer_characteristics: colour
            .transfer
            .unwrap_or(Vp8SampleEntryConfig::TRANSFER_CHARACTERISTICS_BT601),
        matrix_coefficients: colour
            .matrix
            .unwrap_or(Vp8SampleEntryConfig::MATRIX_COEFFICIENTS_BT601),
        width: key.width,
        height: key.height,
    };
    Some(Description {
        entry: SampleEntry::Vp08(vp8::build_vp08_box(&config)),
        scale: VIDEO_SCALE,
        coding: Coding::AsItIs,
    })
}

/// Needs a keyframe, which says its size.
fn vp9(unit: &[u8]) -> Option<Description> {
    let header = vp9::parse_frame_header(unit).ok()?;
    let (width, height) = vp9_size(unit)?;
    let config = Vp9SampleEntryConfig {
        level: Vp9SampleEntryConfig::LEVEL_UNDEFINED,
        colour_primaries: Vp9SampleEntryConfig::COLOUR_PRIMARIES_BT709,
        transfer_characteristics: Vp9SampleEntryConfig::TRANSFER_CHARACTERISTICS_BT709,
        matrix_coefficients: Vp9SampleEntryConfig::MATRIX_COEFFICIENTS_BT709,
        width,
        height,
    };
    Some(Description {
        entry: SampleEntry::Vp09(vp9::build_vp09_box(&header, &config).ok()?),
        scale: VIDEO_SCALE,
        coding: Coding::AsItIs,
    })
}

/// The size that a keyframe of VP9 states.
pub(super) fn vp9_size(unit: &[u8]) -> Option<(u16, u16)> {
    match vp9::parse_frame_header(unit).ok()?.frame_size {
        Vp9FrameSize::Resolved { width, height } => {
            Some((width.try_into().ok()?, height.try_into().ok()?))
        }
        _ => None,
    }
}

/// Needs a unit with a sequence header.
fn av1(unit: &[u8]) -> Option<Description> {
    let obus = av1::parse_obus(unit, Av1ObuParseContext::Sample).ok()?;
    let sequence = obus
        .iter()
        .find(|obu| obu.obu_type == Av1ObuType::SequenceHeader)?;
    let header = av1::parse_sequence_header(sequence.payload).ok()?;
    let config = Av1SampleEntryConfig {
        initial_presentation_delay_minus_one: None,
    };
    // Only a header that states its own length can stand in the description.
    let entry = av1::build_av01_box(&header, sequence.obu, &config)
        .or_else(|_| av1::build_av01_box(&header, &[], &config));
    Some(Description {
        entry: SampleEntry::Av01(entry.ok()?),
        scale: VIDEO_SCALE,
        coding: Coding::Obus,
    })
}
