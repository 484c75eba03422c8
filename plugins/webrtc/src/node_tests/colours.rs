//! What packets state of a stream's colours stands in its format, and goes out again.

use levada_plugin::colour::Colour;

use super::*;

/// What Chromium states of a canvas, and of a camera.
const CANVAS: &str = "range=full;primaries=bt709;transfer=srgb;matrix=bt709";
const CAMERA: &str = "range=limited;primaries=smpte170m;transfer=smpte170m;matrix=smpte170m";

fn stated(colours: &str) -> Option<Colour> {
    let format = Format::video("vp8", 0, 0).with_config(colours);
    (!colours.is_empty()).then(|| Colour::of(&format))
}

fn with_colours(mut packets: Vec<RtpOut>, colours: &str) -> Vec<RtpOut> {
    packets.last_mut().unwrap().colour = stated(colours);
    packets
}

impl Line {
    /// What the far side heard of colours with the last packet of each picture.
    async fn colours_heard(&self, pictures: usize) -> Vec<Option<Colour>> {
        let heard = self.heard.clone();
        until("the pictures", || {
            let rtp = heard.rtp.lock().unwrap();
            assert!(
                rtp.iter()
                    .all(|packet| packet.marker || packet.colour.is_none())
            );
            let last = rtp.iter().filter(|packet| packet.marker);
            let colours: Vec<_> = last.map(|packet| packet.colour).collect();
            (colours.len() == pictures).then_some(colours)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn colours_come_in_with_a_stream_change_within_it_and_go_out_again() {
    let _turn = TURN.lock().await;
    let mut line = line("encoded").await;
    let mut packetiser = Packetiser::new(Codec::Vp8, PacketiserStart::default(), 1200);
    // What the packets state, and what holds then: a keyframe that states nothing takes back what was stated.
    let course = [
        (true, CANVAS, CANVAS),
        (false, "", CANVAS),
        (false, CAMERA, CAMERA),
        (false, "", CAMERA),
        (true, "", ""),
    ];
    for (number, (keyframe, colours, _)) in (0_u8..).zip(course) {
        let unit = vp8(number, keyframe);
        let packets = packets_of(&mut packetiser, &unit, i64::from(number) * 20_000_000);
        for packet in with_colours(packets, colours) {
            line.far.send_rtp(packet).unwrap();
        }
    }
    let mut all = Vec::new();
    line.frames(&mut all, 1, course.len()).await;
    let frames = all.into_iter().filter(|(port, _)| *port == 1);
    let mut back = Vec::new();
    for ((_, frame), (_, _, holds)) in frames.zip(course) {
        let format = line.source.format(frame.format_id()).unwrap();
        assert_eq!(format, Format::video("vp8", 640, 360).with_config(holds));
        back.push(frame.with_format_id(line.sink.format_id(&format)));
    }
    line.sink.push(1, back).unwrap();
    let heard = line.colours_heard(course.len()).await;
    // Nothing stated, after something was, is what VP8 means by itself.
    let wanted = [CANVAS, "", CAMERA, "", CAMERA].map(stated);
    assert_eq!(heard, wanted);
    line.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_keyframe_states_the_colours_again_and_a_stream_without_any_states_none() {
    let _turn = TURN.lock().await;
    let mut line = line("encoded").await;
    let mut number = 0;
    let mut push = |colours: &str| {
        let format = Format::video("vp8", 640, 360).with_config(colours);
        let id = line.sink.format_id(&format);
        for keyframe in [true, false, true] {
            let mark = [flags::INTER, flags::KEYFRAME][usize::from(keyframe)];
            let frame = Frame::from_bytes(Kind::Video, vp8(number, keyframe))
                .with_format_id(id)
                .with_pts(i64::from(number) * 20_000_000)
                .with_flags(mark);
            line.sink.push(1, vec![frame]).unwrap();
            number += 1;
        }
    };
    push("max-fs=3600;max-fr=30");
    push(CANVAS);
    let wanted = ["", "", "", CANVAS, "", CANVAS].map(stated);
    assert_eq!(line.colours_heard(6).await, wanted);
    line.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_colours_of_h264_are_left_to_the_stream_itself() {
    let _turn = TURN.lock().await;
    let mut line = line("encoded").await;
    let unit = Bytes::from_static(&[
        0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 0x80,
    ]);
    let mut packetiser = Packetiser::new(Codec::H264, PacketiserStart::default(), 1200);
    for packet in with_colours(packets_of(&mut packetiser, &unit, 0), CANVAS) {
        line.far.send_rtp(packet).unwrap();
    }
    let mut all = Vec::new();
    line.frames(&mut all, 1, 1).await;
    let (_, frame) = all.into_iter().find(|(port, _)| *port == 1).unwrap();
    let format = line.source.format(frame.format_id()).unwrap();
    assert_eq!(format.encoding, "h264");
    assert_eq!(Colour::of(&format), Colour::default());
    line.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn colours_ride_along_with_packets_that_pass_untouched() {
    let _turn = TURN.lock().await;
    let mut line = line("packets").await;
    let mut packetiser = Packetiser::new(Codec::Vp8, PacketiserStart::default(), 1200);
    for (number, colours) in [(0, CANVAS), (1, "")] {
        let packets = packets_of(&mut packetiser, &vp8(number, number == 0), 0);
        for packet in with_colours(packets, colours) {
            line.far.send_rtp(packet).unwrap();
        }
    }
    let mut all = Vec::new();
    line.frames(&mut all, 1, 8).await;
    let id = line.sink.format_id(&Format::video("rtp-vp8", 0, 0));
    let frames = all.into_iter().filter(|(port, _)| *port == 1);
    let frames = frames.map(|(_, frame)| frame.with_format_id(id));
    line.sink.push(1, frames.collect()).unwrap();
    assert_eq!(line.colours_heard(2).await, [stated(CANVAS), None]);
    line.close().await;
}
