//! Two managers in one process, connected by hand over real sockets on this machine: the by-hand calls
//! of `WebRtcManager`, and pipelines on both sides.

use std::{sync::mpsc, time::Duration};

use levada::{
    Codec, Kind, ManagerError, Pipeline, PipelineNode, Sound, TransformNode, WebRtcConfig,
    WebRtcManager,
};
use levada_plugin::{Builtin, Event, Format, Frames, prelude::*};

const LIMIT: Duration = Duration::from_secs(60);
const LONG: usize = 50_000;
const LABEL: &str = "chat";

fn manager() -> WebRtcManager {
    let addresses = vec!["127.0.0.1:0".parse().expect("an address")];
    WebRtcManager::new(WebRtcConfig {
        addresses,
        ..WebRtcConfig::default()
    })
    .expect("a manager")
}

/// What came back to the caller.
#[derive(Debug, Default)]
struct Returned {
    text: bool,
    long: bool,
    sound: usize,
}

impl Returned {
    fn is_all(&self) -> bool {
        self.text && self.long && self.sound >= 10
    }
}

/// Sends a text, a long message and sound until all of it has come back, then says so once.
struct Caller {
    host: Host,
    returned: Returned,
    tell: Option<mpsc::Sender<Returned>>,
    sent: i64,
    opus: u32,
    text: u32,
    bytes: u32,
    chat: u16,
    sound: u16,
}

/// Where the caller of this process's test tells.
static TELL: std::sync::Mutex<Option<mpsc::Sender<Returned>>> = std::sync::Mutex::new(None);

impl Node for Caller {
    const NAME: &'static str = "caller";
    const SUMMARY: &'static str = "Sends until all has come back";
    const PORTS: &'static [Port] = &[Port::input("in"), Port::output("out").max_out(3)];

    fn create(config: &Config) -> Result<Self> {
        let host = config.host();
        Ok(Caller {
            host,
            returned: Returned::default(),
            tell: TELL
                .lock()
                .map_err(|_| Error::new("another test panicked"))?
                .take(),
            sent: 0,
            opus: host.format_id(&Format::audio("opus", 48_000, 2))?,
            text: host.format_id(&Format::data("text/plain"))?,
            bytes: host.format_id(&Format::data("application/octet-stream"))?,
            chat: host.stream_id(Kind::Data, LABEL)?,
            sound: host.stream_id(Kind::Audio, "sound")?,
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.host.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        if self.returned.is_all() {
            return Ok(());
        }
        // A valid Opus packet of one 20 ms frame, which no decoder will hear.
        let sound = Frame::from_bytes(Kind::Audio, vec![0xfc, 0xff, 0xfe].into());
        let pts = self.sent * 20_000_000;
        ctx.emit(
            1,
            sound
                .with_format_id(self.opus)
                .with_stream(self.sound)
                .with_pts(pts),
        )?;
        if self.sent % 10 == 0 {
            let text = Frame::from_bytes(Kind::Data, "hello".into());
            ctx.emit(1, text.with_format_id(self.text).with_stream(self.chat))?;
            let long = Frame::from_bytes(Kind::Data, vec![7; LONG].into());
            ctx.emit(1, long.with_format_id(self.bytes).with_stream(self.chat))?;
        }
        self.sent += 1;
        self.host.wake_at(ctx.now() + 20_000_000);
        Ok(())
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            let encoding = ctx.format(frame.format_id()).unwrap_or_default().encoding;
            match (frame.kind(), encoding.as_str()) {
                (Kind::Audio, "opus") => self.returned.sound += 1,
                (Kind::Data, "text/plain") => self.returned.text |= frame.payload() == b"hello",
                (Kind::Data, _) => self.returned.long |= frame.payload() == vec![7; LONG],
                _ => return Err(Error::new(format_args!("{frame:?} was never sent"))),
            }
        }
        if self.returned.is_all()
            && let Some(tell) = self.tell.take()
        {
            tell.send(std::mem::take(&mut self.returned))?;
        }
        Ok(())
    }

    fn event(&mut self, _port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        Ok(event.kind == event::kind::KEYFRAME_REQUEST)
    }
}

/// Carries the descriptions of `caller` and `callee` over, whole, and waits until both are connected.
async fn connect(caller: &WebRtcManager, callee: &WebRtcManager) -> Result<(), ManagerError> {
    caller.create_offer().await?;
    let offer = caller.wait_for_ice_gathering().await?;
    callee.handle_offer_and_create_answer(&offer).await?;
    let answer = callee.wait_for_ice_gathering().await?;
    caller.handle_answer(&answer).await?;
    let (one, other) = tokio::join!(caller.wait_for_connection(), callee.wait_for_connection());
    one.and(other)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_manager_sends_the_other_returns() {
    let (tell, told) = mpsc::channel();
    *TELL.lock().expect("no panic under the lock") = Some(tell);
    let (caller, callee) = (manager(), manager());
    let echo = Pipeline::new([
        callee.create_source_node(),
        TransformNode::new(Some),
        callee.create_sink_node(),
    ]);
    let plugin = Builtin::new("caller", "1.0.0")
        .with::<Caller>()
        .into_plugin();
    let call = Pipeline::new([
        caller.create_source_node(),
        PipelineNode::new("caller").of_plugin(&plugin),
        caller.create_sink_node(),
    ]);
    let run = async {
        caller.add_data_channel(LABEL).await?;
        callee.start(&echo).await?;
        connect(&caller, &callee).await?;
        caller.start(&call).await
    };
    tokio::time::timeout(LIMIT, run)
        .await
        .expect("they connect in time")
        .expect("they connect");
    let returned = tokio::task::spawn_blocking(move || told.recv_timeout(LIMIT))
        .await
        .expect("no panic");
    assert!(returned.expect("all comes back in time").is_all());

    assert!(matches!(
        callee.start(&echo).await,
        Err(ManagerError::Running)
    ));
    let report = caller.close().await.expect("a pipeline ran");
    assert!(
        report.links.iter().all(|link| link.frames > 0),
        "{report:#?}"
    );
    let report = callee.close().await.expect("a pipeline ran");
    assert!(
        report
            .links
            .iter()
            .all(|link| link.frames > 0 && link.dropped == 0),
        "{report:#?}"
    );
    assert!(
        callee.close().await.is_none(),
        "closing again finds nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn by_hand_calls_that_do_not_fit_are_refused_with_the_reason() {
    let (caller, callee) = (manager(), manager());
    caller
        .add_data_channel(LABEL)
        .await
        .expect("the first of its label");
    let again = caller
        .add_data_channel(LABEL)
        .await
        .expect_err("the second of its label");
    assert!(again.to_string().contains(LABEL), "{again}");

    let early = callee
        .handle_answer("v=0\r\n")
        .await
        .expect_err("there was no offer");
    assert!(!early.to_string().is_empty());
    let offer = caller.create_offer().await.expect("an offer");
    assert!(
        callee
            .handle_offer_and_create_answer("this is no SDP")
            .await
            .is_err()
    );
    assert!(
        callee.handle_offer_and_create_answer(&offer).await.is_ok(),
        "a bad offer spoils nothing"
    );

    // Polled in this order: the one waits on the connection that the other closes.
    let both = async { tokio::join!(caller.wait_for_connection(), caller.close()) };
    let (ended, _) = tokio::time::timeout(LIMIT, both).await.expect("in time");
    assert!(
        ended.is_err(),
        "a closed connection is an error to who waits for it"
    );
    callee.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_made_for_what_its_pipeline_takes_and_gives() {
    let only_h264 = |manager: &WebRtcManager| {
        Pipeline::new([
            manager.create_source_node().ports("in", "video"),
            TransformNode::of("video/h264", Some),
            manager.create_sink_node().ports("video", "out"),
        ])
    };
    let (caller, callee) = (manager(), manager());
    let any = caller.create_offer().await.expect("an offer");
    assert!(any.contains("VP8/90000") && any.contains("H264/90000"));
    let late = caller.prepare(&only_h264(&caller)).await;
    assert!(matches!(late, Err(ManagerError::Made)), "{late:?}");
    caller.close().await;

    let pipeline = only_h264(&caller);
    caller.prepare(&pipeline).await.expect("a new connection");
    let offer = caller.create_offer().await.expect("an offer");
    assert!(!offer.contains("VP8/90000") && offer.contains("H264/90000"));
    assert!(!offer.contains("m=audio"), "a kind that is not linked");
    caller.start(&pipeline).await.expect("what was prepared");

    let started = only_h264(&callee);
    callee
        .start(&started)
        .await
        .expect("nothing came before it");
    let answer = callee.handle_offer_and_create_answer(&any).await;
    let answer = answer.expect("an answer");
    assert!(!answer.contains("VP8/90000") && answer.contains("H264/90000"));
    assert!(answer.contains("m=audio 0") || answer.contains("a=inactive"));
    let so_far = callee.local_description().await.expect("a connection");
    assert!(so_far.is_some_and(|sdp| sdp.starts_with("v=0")));
    tokio::join!(caller.close(), callee.close());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_can_be_used_again_after_close() {
    let (caller, callee) = (manager(), manager());
    for _ in 0..2 {
        let run = async {
            caller.add_data_channel(LABEL).await?;
            connect(&caller, &callee).await
        };
        tokio::time::timeout(LIMIT, run)
            .await
            .expect("in time")
            .expect("they connect");
        tokio::join!(caller.close(), callee.close());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_for_a_peer_begins_at_its_beginning_and_nothing_of_it_is_lost() {
    let (caller, callee) = (manager(), manager());
    // Of its 42 frames the first is a keyframe, and one behind many others.
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/vp8/tests/moving.ivf");
    let film = PipelineNode::new("file-source")
        .param("path", path.display().to_string())
        .param("loop", true);
    let play = Pipeline::named("play")
        .node("film", film)
        .node("screen", caller.create_sink_node())
        .link("film.video -> screen.video");
    let (tell, told) = mpsc::channel();
    let see = TransformNode::of("video/vp8", move |frame: Frame| {
        let _ = tell.send((frame.has(flags::KEYFRAME), frame.payload().len()));
        None
    });
    let watch = Pipeline::named("watch")
        .node("peer", callee.create_source_node())
        .node("see", see)
        .link("peer.video -> see");
    let run = async {
        // Both before the connection is up.
        caller.start(&play).await?;
        callee.start(&watch).await?;
        connect(&caller, &callee).await
    };
    let run = tokio::time::timeout(LIMIT, run).await.expect("in time");
    run.expect("they connect");
    let seen = tokio::task::spawn_blocking(move || {
        (0..42)
            .map(|_| told.recv_timeout(LIMIT).expect("in time"))
            .collect::<Vec<_>>()
    });
    let seen = seen.await.expect("no panic");
    let bytes = std::fs::read(path).expect("the film is there");
    let (mut at, mut film) = (32, vec![]);
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        // The first bit says whether a frame refers to others (RFC 6386, 9.1).
        film.push((bytes[at + 12] & 1 == 0, length));
        at += 12 + length;
    }
    assert_eq!(seen, film);
    let (sent, _) = tokio::join!(caller.close(), callee.close());
    let sent = sent.expect("it ran");
    let screen = sent.nodes.iter().find(|node| node.name == "screen");
    assert_eq!(screen.map(|node| node.dropped), Some(0), "{sent:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_planned_for_the_codecs_of_the_other_side() {
    let callee = manager();
    let caller = WebRtcManager::new(WebRtcConfig {
        addresses: vec!["127.0.0.1:0".parse().expect("an address")],
        codecs: vec![Codec::Pcma],
        send_video: false,
        receive_video: false,
        ..WebRtcConfig::default()
    });
    let caller = caller.expect("a manager");
    let call = Pipeline::named("call")
        .node("tone", PipelineNode::new("test-audio"))
        .node("peer", caller.create_sink_node())
        .link("tone -> peer.audio");
    for starts_before in [true, false] {
        let (tell, told) = mpsc::channel();
        let hear = TransformNode::audio(move |_sound: &mut Sound| {
            let _ = tell.send(());
        });
        // Alone, it would take Opus.
        let listen = Pipeline::named("listen")
            .node("peer", callee.create_source_node())
            .node("hear", hear)
            .node("end", PipelineNode::new("null"))
            .link("peer.audio -> hear -> end");
        let run = async {
            caller.start(&call).await?;
            if starts_before {
                callee.start(&listen).await?;
            }
            connect(&caller, &callee).await?;
            if !starts_before {
                callee.start(&listen).await?;
            }
            Ok::<(), ManagerError>(())
        };
        let run = tokio::time::timeout(LIMIT, run).await.expect("in time");
        run.expect("they connect");
        let heard = tokio::task::spawn_blocking(move || told.recv_timeout(LIMIT));
        heard.await.expect("no panic").expect("sound");
        let (_, heard) = tokio::join!(caller.close(), callee.close());
        let heard = heard.expect("it ran");
        let mut types = heard.nodes.iter().map(|node| node.type_name.as_str());
        assert!(types.any(|t| t == "g711-decoder"), "{heard:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_of_messages_alone_takes_no_sound_and_no_pictures() {
    let (caller, callee) = (manager(), manager());
    let messages = Pipeline::named("messages")
        .node("from", callee.create_source_node())
        .node("to", callee.create_sink_node())
        .link("from.data -> to.data");
    let run = async {
        caller.add_data_channel(LABEL).await?;
        callee.prepare(&messages).await?;
        connect(&caller, &callee).await?;
        callee.local_description().await
    };
    let answer = tokio::time::timeout(LIMIT, run).await.expect("in time");
    let answer = answer.expect("they connect").expect("there is an answer");
    let sections: Vec<&str> = answer.split("m=").skip(1).collect();
    assert_eq!(sections.len(), 3, "{answer}");
    for section in sections {
        let is_off = section.contains("a=inactive") || section.contains(" 0 UDP");
        assert_eq!(is_off, !section.starts_with("application"), "{answer}");
    }
    tokio::join!(caller.close(), callee.close());
}
