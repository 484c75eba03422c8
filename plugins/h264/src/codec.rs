//! The library's decoder and encoder, as this plugin uses them: the one file with unsafe code.
//!
//! `openh264` is safe to use, but passes on neither the mark that a picture takes from its access unit, nor a
//! change of bitrate, nor the wish to print nothing while the encoder begins. Those are calls into the library itself,
//! which owns all memory that it hands out: a picture or a unit is valid until the next call, and the
//! signatures here say so by borrowing the codec.
//!
//! One unit gives its picture at once, in the order of decoding; what keeps the library from another order is in
//! `at_once`.

use std::ptr::{from_mut, null_mut};

use levada_plugin::picture::I420;
use openh264::{
    Error, OpenH264API, Timestamp,
    decoder::{self, DecoderConfig},
    encoder::{
        self, BitRate, Complexity, EncoderConfig, FrameRate, FrameType, Profile, RateControlMode,
        UsageType, VuiConfig,
    },
    formats::YUVSource,
};
use openh264_sys2::{
    ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_FRAME_RATE, ENCODER_OPTION_MAX_BITRATE,
    ENCODER_OPTION_TRACE_LEVEL, SBitrateInfo, SBufferInfo, SPATIAL_LAYER_0, SPATIAL_LAYER_ALL,
    WELS_LOG_QUIET,
};

use crate::{at_once, nal};

/// Bytes of an access unit at most.
pub const MAX_UNIT_BYTES: usize = 8 << 20;

/// A decoder for one stream. Its memory grows with the pictures' size, which `sps` bounds.
pub struct Decoder(decoder::Decoder);

/// A decoded picture in the library's memory.
pub struct Picture<'a> {
    /// Pixels in a row; even.
    pub width: u32,
    /// Rows; even.
    pub height: u32,
    /// Y, U and V, each with the bytes from one row to the next.
    pub planes: [(&'a [u8], usize); 3],
    /// What [`Decoder::decode`] was given with the access unit that the picture came in.
    pub mark: u64,
}

impl Decoder {
    pub fn new() -> Result<Decoder, Error> {
        let config = DecoderConfig::new();
        decoder::Decoder::with_api_config(OpenH264API::from_source(), config).map(Decoder)
    }

    /// Decodes an access unit and shows the picture that comes out. Any bytes will do: `false` says that they
    /// are damaged, or refer to what is missing.
    pub fn decode(&mut self, unit: &[u8], mark: u64, show: impl FnOnce(Picture<'_>)) -> bool {
        if unit.len() > MAX_UNIT_BYTES {
            return false;
        }
        let head = nal::look(unit).head;
        match at_once::rewrite(head) {
            // Parameter sets alone give no picture.
            Some(changed) => {
                self.call(&changed, mark, |_| {}) && self.call(&unit[head.len()..], mark, show)
            }
            None => self.call(unit, mark, show),
        }
    }

    fn call(&mut self, unit: &[u8], mark: u64, show: impl FnOnce(Picture<'_>)) -> bool {
        if unit.is_empty() || unit.len() > MAX_UNIT_BYTES {
            return false;
        }
        let mut planes = [null_mut::<u8>(); 3];
        let mut info = SBufferInfo {
            uiInBsTimeStamp: mark,
            ..SBufferInfo::default()
        };
        // SAFETY: the raw calls are the library's own with an initialised decoder (made so by
        // `with_api_config`), and no option is changed. `unit` is readable for the call, and its length fits
        // an i32 (checked above); the library copies it. `planes` and `info` are writable for the call.
        let state = unsafe {
            self.0.raw_api().decode_frame_no_delay(
                unit.as_ptr(),
                unit.len() as i32,
                from_mut(&mut planes).cast(),
                from_mut(&mut info),
            )
        };
        self.show(planes, &info, show) && state == 0
    }

    /// Shows the picture that a call of the library answered, if it did; `false` when it makes no sense.
    fn show(&self, at: [*mut u8; 3], info: &SBufferInfo, show: impl FnOnce(Picture<'_>)) -> bool {
        if info.iBufferStatus != 1 || at.iter().any(|plane| plane.is_null()) {
            return true;
        }
        // SAFETY: the member of the union that a decoder fills when its status is 1; both have plain numbers.
        let buffer = unsafe { info.UsrData.sSystemBuffer };
        let size = |n: i32| usize::try_from(n).ok().filter(|n| *n > 0);
        let [Some(width), Some(height), Some(stride), Some(chroma_stride)] = [
            size(buffer.iWidth),
            size(buffer.iHeight),
            size(buffer.iStride[0]),
            size(buffer.iStride[1]),
        ] else {
            return false;
        };
        // 4:2:0 is cropped by twos (table 6-1), so both are even.
        let is_sane = width % 2 == 0
            && height % 2 == 0
            && stride >= width
            && chroma_stride >= width / 2
            && stride.checked_mul(height).is_some();
        if !is_sane {
            return false;
        }
        let plane = |at: *mut u8, stride: usize, width: usize, height: usize| {
            // SAFETY: the library answered a picture of `height` rows, `stride` bytes apart, of which each has
            // `width` bytes at least; they stay as they are until its next call, which needs the decoder that
            // `self` borrows for as long as `show` runs.
            let bytes = unsafe { std::slice::from_raw_parts(at, stride * (height - 1) + width) };
            (bytes, stride)
        };
        show(Picture {
            width: width as u32,
            height: height as u32,
            planes: [
                plane(at[0], stride, width, height),
                plane(at[1], chroma_stride, width / 2, height / 2),
                plane(at[2], chroma_stride, width / 2, height / 2),
            ],
            mark: info.uiOutYuvTimeStamp,
        });
        true
    }
}

/// How an encoder begins.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Bits a second.
    pub bitrate: u32,
    /// Pictures a second.
    pub frame_rate: f32,
    pub complexity: Complexity,
    /// Whether pictures may be left out where they would take too many bits.
    pub skip: bool,
    /// What to write of the pictures' colours; `None` writes nothing.
    pub vui: Option<VuiConfig>,
}

/// An encoder for pictures of one size and colour.
pub struct Encoder {
    inner: encoder::Encoder,
    /// Whether it has encoded a picture; there are no options to set before.
    has_begun: bool,
    /// Bits a second that it aims at.
    bitrate: u32,
}

/// An access unit in the library's memory.
pub struct Encoded<'a> {
    stream: encoder::EncodedBitStream<'a>,
    /// Bytes in all; 0 when the picture was left out.
    pub bytes: usize,
}

impl Encoded<'_> {
    /// Whether it is an IDR picture with its parameter sets.
    pub fn is_keyframe(&self) -> bool {
        self.stream.frame_type() == FrameType::IDR
    }

    fn nal_units(&self, mut each: impl FnMut(&[u8])) {
        for layer in (0..self.stream.num_layers()).filter_map(|i| self.stream.layer(i)) {
            for unit in 0..layer.nal_count() {
                layer.nal_unit(unit).into_iter().for_each(&mut each);
            }
        }
    }

    /// Copies the access unit into `to`, which has [`bytes`](Encoded::bytes) bytes.
    pub fn copy_to(&self, to: &mut [u8]) {
        let mut at = 0;
        self.nal_units(|unit| {
            to[at..at + unit.len()].copy_from_slice(unit);
            at += unit.len();
        });
    }
}

/// A picture without its last row and column where those are odd ones: 4:2:0 is coded in squares of two by
/// two, and its size can be cropped by twos only.
struct Even<'a>(I420<'a>);

impl YUVSource for Even<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.0.width() & !1, self.0.height() & !1)
    }

    fn strides(&self) -> (usize, usize, usize) {
        let chroma = self.0.chroma_width();
        (self.0.width(), chroma, chroma)
    }

    fn y(&self) -> &[u8] {
        self.0.y()
    }

    fn u(&self) -> &[u8] {
        self.0.u()
    }

    fn v(&self) -> &[u8] {
        self.0.v()
    }
}

impl Encoder {
    pub fn new(setup: Setup) -> Result<Encoder, Error> {
        let mut config = EncoderConfig::new()
            .profile(Profile::Baseline)
            .usage_type(UsageType::CameraVideoRealTime)
            .rate_control_mode(RateControlMode::Bitrate)
            .bitrate(BitRate::from_bps(setup.bitrate))
            .max_frame_rate(FrameRate::from_hz(setup.frame_rate))
            .complexity(setup.complexity)
            .skip_frames(setup.skip)
            // Keyframes come when they are asked for, not where the picture changes much.
            .scene_change_detect(false)
            // The engine's workers are the threads.
            .num_threads(1);
        if let Some(vui) = setup.vui {
            config = config.vui(vui);
        }
        let inner = encoder::Encoder::with_api_config(OpenH264API::from_source(), config)?;
        let mut encoder = Encoder {
            inner,
            has_begun: false,
            bitrate: setup.bitrate,
        };
        // This one option is taken before the first picture; `openh264` sets it after the library has printed.
        encoder.set_raw(ENCODER_OPTION_TRACE_LEVEL, WELS_LOG_QUIET);
        Ok(encoder)
    }

    /// Encodes a picture at `at_ms` (the library does not mind a clock that goes back). The first one, and one for which
    /// `keyframe` is set, begin anew with an IDR picture and its parameter sets.
    ///
    /// # Errors
    /// What the library says; the encoder is of no use then.
    pub fn encode(
        &mut self,
        picture: I420<'_>,
        at_ms: u32,
        keyframe: bool,
    ) -> Result<Encoded<'_>, Error> {
        if keyframe && self.has_begun {
            self.inner.force_intra_frame();
        }
        let at = Timestamp::from_millis(u64::from(at_ms));
        self.has_begun = true;
        let stream = self.inner.encode_at(&Even(picture), at)?;
        let mut encoded = Encoded { stream, bytes: 0 };
        let mut bytes = 0;
        encoded.nal_units(|unit| bytes += unit.len());
        encoded.bytes = bytes;
        Ok(encoded)
    }

    /// Aims at this many bits a second from the next picture on.
    pub fn set_bitrate(&mut self, bits_per_second: u32) {
        let target = i32::try_from(bits_per_second).unwrap_or(i32::MAX);
        let most = (SPATIAL_LAYER_0, ENCODER_OPTION_MAX_BITRATE);
        let mean = (SPATIAL_LAYER_ALL, ENCODER_OPTION_BITRATE);
        // The most may never lie below the mean, not even in between.
        let order = if bits_per_second > self.bitrate {
            [most, mean]
        } else {
            [mean, most]
        };
        for (layer, option) in order {
            let info = SBitrateInfo {
                iLayer: layer,
                iBitrate: target,
            };
            self.set_option(option, info);
        }
        self.bitrate = bits_per_second;
    }

    /// Expects this many pictures a second from the next one on.
    pub fn set_frame_rate(&mut self, hz: f32) {
        self.set_option(ENCODER_OPTION_FRAME_RATE, hz);
    }

    fn set_option<T>(&mut self, option: ENCODER_OPTION, value: T) {
        if self.has_begun {
            self.set_raw(option, value);
        }
    }

    fn set_raw<T>(&mut self, option: ENCODER_OPTION, mut value: T) {
        // SAFETY: the encoder exists, and the library reads a `T` during the call: bitrates are an
        // `SBitrateInfo`, the frame rate is a float, the level of its log an int (codec_app_def.h). None is a
        // setting that `openh264` relies on. An option that comes too early is refused, and a refusal leaves
        // things as they were.
        unsafe {
            self.inner
                .raw_api()
                .set_option(option, from_mut(&mut value).cast());
        }
    }
}
