//! Builds a connection of the `webrtc` crate with the codecs, interceptors and limits of this one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{NackGeneratorBuilder, NackResponderBuilder, Registry, Slot};
use rtc::mdns::MulticastSocket;
use rtc::peer_connection::configuration::interceptor_registry::{
    configure_rtcp_reports, configure_simulcast_extension_headers, configure_twcc_receiver_only,
};
use rtc::peer_connection::configuration::setting_engine::SctpMaxMessageSize;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCConfigurationBuilder, RTCIceServer, SettingEngineBuilder,
};
use webrtc::runtime::TokioRuntime;

use super::socket::{MediaRuntime, OnEnd};
use crate::codec::{Codec, MediaKind};
use crate::config::{MAX_ADDRESSES, MAX_MESSAGE_BYTES, PeerConfig};
use crate::congestion::Congestion;
use crate::error::PeerError;
use crate::keyframes::KeyframeRequests;
use crate::media::colour;

/// Bytes that one data channel may have on the way before its writer waits.
const CHANNEL_BUFFER_BYTES: usize = 1 << 20;
/// Sent packets that are kept to be sent again; also, how far behind the newest a received packet may be.
const RESEND_PACKETS: u16 = 1024;
/// How often one lost packet is asked for, 100 ms apart.
const MAX_REQUESTS: u16 = 10;

pub(super) fn kind_of(kind: MediaKind) -> RtpCodecKind {
    match kind {
        MediaKind::Audio => RtpCodecKind::Audio,
        MediaKind::Video => RtpCodecKind::Video,
    }
}

/// The codec as descriptions have it.
pub(super) fn rtp_codec(codec: Codec) -> RTCRtpCodec {
    let (channels, fmtp) = match codec {
        Codec::Opus => (2, "minptime=10;useinbandfec=1"),
        Codec::Pcmu | Codec::Pcma | Codec::Vp8 => (0, ""),
        Codec::H264 => (
            0,
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        ),
    };
    let feedback = |typ: &str, parameter: &str| RTCPFeedback {
        typ: typ.to_owned(),
        parameter: parameter.to_owned(),
    };
    RTCRtpCodec {
        mime_type: codec.mime_type().to_owned(),
        clock_rate: codec.clock_rate(),
        channels,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: match codec.kind() {
            MediaKind::Audio => vec![],
            MediaKind::Video => vec![
                feedback("goog-remb", ""),
                feedback("ccm", "fir"),
                feedback("nack", ""),
                feedback("nack", "pli"),
            ],
        },
    }
}

/// The codecs that are offered and answered, each payload type once.
///
/// Retransmission streams (RTX) are left out: with them the core never learns that a lost packet came after all and
/// asks for it again without end. Without them, lost packets are sent again in the stream itself.
fn media_engine(config: &PeerConfig) -> webrtc::error::Result<MediaEngine> {
    let mut engine = MediaEngine::default();
    for &codec in &config.codecs {
        let payload_type = match codec {
            Codec::Opus => 111,
            // Those that RFC 3551 gives them.
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
            Codec::Vp8 => 96,
            Codec::H264 => 125,
        };
        engine.register_codec(
            RTCRtpCodecParameters {
                rtp_codec: rtp_codec(codec),
                payload_type,
            },
            kind_of(codec.kind()),
        )?;
    }
    Ok(engine)
}

/// The core's default interceptors, with a limit, and ours; and the header extensions.
fn interceptors(
    media: &mut MediaEngine,
    congestion: &Arc<Congestion>,
) -> webrtc::error::Result<Registry> {
    configure_simulcast_extension_headers(media)?;
    let registry = configure_twcc_receiver_only(Registry::new(), media)?;
    // Behind the others, which keep their numbers in offers.
    let colours = RTCRtpHeaderExtensionCapability {
        uri: colour::URI.to_owned(),
    };
    media.register_header_extension(colours, RtpCodecKind::Video, None)?;
    let requests = NackGeneratorBuilder::new()
        // Without a limit a packet that cannot come any more is asked for until the window has passed it.
        .with_max_nacks_per_packet(MAX_REQUESTS)
        .build();
    let resends = NackResponderBuilder::new()
        .with_size(RESEND_PACKETS)
        .build();
    Ok(congestion
        .listen(configure_rtcp_reports(registry))
        .with(Slot::NackGenerator, requests)
        .with(Slot::NackResponder, resends)
        .with(KeyframeRequests::slot(), KeyframeRequests::default()))
}

/// The addresses to bind.
///
/// The crate expands a wildcard by itself, but leaves out loopback, without which two programs on one machine with no
/// network cannot meet, and offers the wildcard itself as a candidate when there is nothing else.
fn addresses(config: &PeerConfig) -> Vec<SocketAddr> {
    if !config.addresses.is_empty() {
        return config.addresses.clone();
    }
    let mut addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    let interfaces = rtc::shared::ifaces::ifaces().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot list the network interfaces; only 127.0.0.1 is used");
        Vec::new()
    });
    for interface in interfaces {
        let Some(ip) = interface.addr.map(|address| address.ip()) else {
            continue;
        };
        let link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        let address = SocketAddr::new(ip, 0);
        if !ip.is_loopback()
            && !ip.is_unspecified()
            && !link_local
            && !addresses.contains(&address)
            && addresses.len() < MAX_ADDRESSES
        {
            addresses.push(address);
        }
    }
    addresses
}

/// Builds the connection. Its driver runs on the tokio runtime of the caller; `on_end` is called when it ends.
pub(super) async fn build(
    config: &PeerConfig,
    congestion: &Arc<Congestion>,
    handler: Arc<dyn PeerConnectionEventHandler>,
    on_end: OnEnd,
) -> Result<Arc<dyn PeerConnection>, PeerError> {
    let failed = |step| {
        move |error: webrtc::error::Error| PeerError::Setup {
            step,
            cause: error.to_string(),
        }
    };
    let mut media = media_engine(config).map_err(failed("codecs"))?;
    let registry = interceptors(&mut media, congestion).map_err(failed("interceptors"))?;

    // Browsers hide their addresses behind names of multicast DNS until a camera is allowed. Where multicast is not
    // to be had, the connection still works for everyone who gives addresses.
    let multicast_dns = match MulticastSocket::new().into_std() {
        Ok(_) => MulticastDnsMode::QueryOnly,
        Err(error) => {
            tracing::debug!(%error, "no multicast DNS: candidates that end in .local cannot be used");
            MulticastDnsMode::Disabled
        }
    };
    let settings = SettingEngineBuilder::new()
        .with_multicast_dns_mode(multicast_dns)
        .with_ice_timeouts(
            Some(config.disconnected_after),
            Some(config.failed_after),
            Some(config.disconnected_after.div_f32(2.5)),
        )
        // A lost packet that is sent again comes late, and the core's own window of 64 packets would take it for a
        // replay: at 100 ms between requests that is every one of a stream of more than 640 packets a second.
        .with_srtp_replay_protection_window(usize::from(RESEND_PACKETS))
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE_BYTES as u32))
        .build();
    let servers = config.ice_servers.iter().map(|server| RTCIceServer {
        urls: server.urls.clone(),
        username: server.username.clone(),
        credential: server.credential.clone(),
    });
    let configuration = RTCConfigurationBuilder::default()
        .with_ice_servers(servers.collect())
        .build();
    let runtime = MediaRuntime {
        inner: TokioRuntime,
        socket_buffer_bytes: config.socket_buffer_bytes,
        loss: config.loss.as_ref().map(|loss| loss.control()),
        on_end: Mutex::new(Some(on_end)),
    };
    let connection = PeerConnectionBuilder::new()
        .with_configuration(configuration)
        .with_media_engine(media)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .with_runtime(Arc::new(runtime))
        .with_handler(handler)
        .with_data_channel_send_buffer_limit(CHANNEL_BUFFER_BYTES)
        .with_udp_addrs(addresses(config))
        .build()
        .await
        .map_err(failed("sockets"))?;
    Ok(Arc::new(connection))
}
