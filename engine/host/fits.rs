//! [`Fits`]: what a peer is served with, by the codecs that it has.
//!
//! The graph's plan serves every peer that has what it settles. For one that has not, of sound or of pictures, the graph
//! is planned anew with what that peer has ([`Template::plan_for`]); where that is impossible, the peer gets no media of
//! that kind, and is told why. Plans are kept by the codecs that they are for, the last [`MAX_KEPT`] of them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use levada_engine::graph::{Plan, Problems};
use levada_webrtc::{Abilities, Codec, MediaKind, PeerConfig};

use crate::{
    codecs::{self, Ways},
    template::Template,
};

/// Plans that are kept for peers with other codecs than the graph's plan settles.
const MAX_KEPT: usize = 8;

/// A plan, and what the peer that it serves may agree to.
pub(crate) struct Fit {
    pub plan: Arc<Plan>,
    pub config: PeerConfig,
    /// The kinds of which the peer gets nothing, and what is in the way of a plan; nothing where the two sides have
    /// no codec in common at all.
    lacks: Vec<(MediaKind, Option<String>)>,
}

impl Fit {
    /// Plans for one kind after the other, so that one that is impossible does not spoil the other.
    fn new(template: &Template, config: &PeerConfig, narrowing: &Narrowing) -> Fit {
        let (mut plan, mut wanted, mut lacks) = (template.plan().clone(), vec![], vec![]);
        for (kind, narrowed) in MediaKind::ALL.into_iter().zip(narrowing) {
            let allowed = match narrowed {
                Some(codecs) => codecs.clone(),
                None => config.codecs(kind).collect(),
            };
            if serves(&plan, kind, &allowed) {
                continue;
            }
            match plan_with(template, &wanted, kind, &allowed) {
                Ok(planned) => (plan, wanted) = planned,
                Err(why) => lacks.push((kind, why)),
            }
        }
        let mut narrowed = codecs::narrowed(config, &plan);
        for (kind, _) in &lacks {
            // The core answers no offer for which it would have a sender without a codec; without a sender it rejects
            // the section.
            codecs::restrict(&mut narrowed, *kind, false, false);
            narrowed.codecs.retain(|codec| codec.kind() != *kind);
            narrowed.codecs.extend(config.codecs(*kind));
        }
        Fit {
            plan,
            config: narrowed,
            lacks,
        }
    }

    fn lacks(&self, kind: MediaKind) -> bool {
        self.lacks.iter().any(|(lacked, _)| *lacked == kind)
    }
}

/// Whether a graph so planned can agree to one of these codecs, or needs none.
fn serves(plan: &Plan, kind: MediaKind, codecs: &[Codec]) -> bool {
    let ways = Ways::of(plan, kind);
    !ways.is_linked() || ways.agreed().iter().any(|codec| codecs.contains(codec))
}

/// A plan for `wanted` and one of `codecs`, and what it is narrowed to.
fn plan_with(
    template: &Template,
    wanted: &[Codec],
    kind: MediaKind,
    codecs: &[Codec],
) -> Result<(Arc<Plan>, Vec<Codec>), Option<String>> {
    let mut why = None;
    // Together they leave the choice to negotiation, which may take one and give another: then each alone.
    let alone = codecs.iter().map(std::slice::from_ref);
    for codecs in std::iter::once(codecs).chain(alone) {
        if codecs.is_empty() {
            continue;
        }
        let both: Vec<Codec> = wanted.iter().chain(codecs).copied().collect();
        match template.plan_for(&both) {
            Ok(plan) if serves(&plan, kind, codecs) => return Ok((plan, both)),
            Ok(plan) => {
                let ways = Ways::of(&plan, kind);
                why.get_or_insert_with(|| {
                    format!(
                        "it takes {} from a peer and gives {}, and a connection has the same codecs both ways",
                        names(&ways.takes),
                        names(&ways.gives)
                    )
                });
            }
            Err(problems) => {
                why.get_or_insert_with(|| format!("for others: {}", first(&problems)));
            }
        }
    }
    Err(why)
}

fn names(codecs: &[Codec]) -> String {
    let names: Vec<_> = codecs.iter().map(|codec| codec.name()).collect();
    names.join(", ")
}

/// By kind: the codecs to which a plan is narrowed; `None` for a kind that is served as it is.
type Narrowing = [Option<Vec<Codec>>; MediaKind::ALL.len()];

/// See the module's documentation.
pub(crate) struct Fits {
    template: Template,
    config: PeerConfig,
    base: Arc<Fit>,
    kept: Mutex<Vec<(Narrowing, Arc<Fit>)>>,
    /// What this side may offer.
    offered: OnceLock<PeerConfig>,
}

impl Fits {
    pub fn new(template: Template, config: PeerConfig) -> Fits {
        let base = Fit::new(&template, &config, &Narrowing::default());
        Fits {
            template,
            config,
            base: Arc::new(base),
            kept: Mutex::default(),
            offered: OnceLock::new(),
        }
    }

    /// The fit for a peer that has whatever the graph's plan settles.
    #[cfg(test)]
    pub fn base(&self) -> &Arc<Fit> {
        &self.base
    }

    /// The fit for the peer that made this offer, and what to tell it. Takes milliseconds where a plan has to be
    /// made.
    pub fn for_offer(&self, sdp: &str) -> (Arc<Fit>, Vec<String>) {
        self.fit(MediaKind::ALL.map(|kind| Abilities::of(sdp, kind)))
    }

    /// The same for one that made this answer: it sends what it prefers of what it took.
    pub fn for_answer(&self, sdp: &str) -> (Arc<Fit>, Vec<String>) {
        self.fit(MediaKind::ALL.map(|kind| {
            let mut abilities = Abilities::of(sdp, kind)?;
            abilities.codecs.truncate(1);
            Some(abilities)
        }))
    }

    /// What this side offers: what the graph's plan settles, and whatever else it could be planned for.
    pub fn to_offer(&self) -> &PeerConfig {
        self.offered.get_or_init(|| {
            let mut config = self.base.config.clone();
            for codec in &self.config.codecs {
                let kind = codec.kind();
                let is_missing = !config.codecs.contains(codec) && !self.base.lacks(kind);
                if is_missing && plan_with(&self.template, &[], kind, &[*codec]).is_ok() {
                    config.codecs.push(*codec);
                }
            }
            config
        })
    }

    fn fit(&self, theirs: [Option<Abilities>; MediaKind::ALL.len()]) -> (Arc<Fit>, Vec<String>) {
        let narrowing: Narrowing = MediaKind::ALL.map(|kind| {
            let theirs = theirs[kind.index()].as_ref()?;
            let config = &self.base.config;
            let mut ours = config.codecs(kind);
            let is_served = ours.any(|codec| theirs.codecs.contains(&codec));
            // What goes no way needs no codec.
            if is_served || !(config.sends(kind) || config.receives(kind)) {
                return None;
            }
            let both = self.config.codecs(kind);
            Some(both.filter(|codec| theirs.codecs.contains(codec)).collect())
        });
        let fit = self.narrowed(narrowing);
        let told = fit.lacks.iter().filter_map(|(kind, why)| {
            let theirs = theirs[kind.index()].as_ref()?;
            Some(self.explain(*kind, &theirs.names, why.as_deref()))
        });
        let told = told.collect();
        (fit, told)
    }

    fn narrowed(&self, narrowing: Narrowing) -> Arc<Fit> {
        if narrowing.iter().all(Option::is_none) {
            return self.base.clone();
        }
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = lock();
        if let Some(at) = kept.iter().position(|(known, _)| *known == narrowing) {
            // The one that was used last goes last.
            let entry = kept.remove(at);
            let fit = entry.1.clone();
            kept.push(entry);
            return fit;
        }
        drop(kept);
        let fit = Arc::new(Fit::new(&self.template, &self.config, &narrowing));
        let mut kept = lock();
        if kept.len() == MAX_KEPT {
            kept.remove(0);
        }
        kept.push((narrowing, fit.clone()));
        fit
    }

    /// Why a peer gets no media of a kind: both sides' codecs, and what to do.
    fn explain(&self, kind: MediaKind, theirs: &[String], why: Option<&str>) -> String {
        let ours: Vec<Codec> = self.base.config.codecs(kind).collect();
        let graph = &self.base.plan.graph().name;
        let theirs = match theirs {
            [] => "none".to_owned(),
            theirs => theirs.join(", "),
        };
        let ours = names(&ours);
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        format!(
            "no {kind}: the peer has {theirs}, and the graph \"{graph}\" does {ours}{why}; \
             let the peer offer one of those, or give the graph a decoder and an encoder for one of the peer's"
        )
    }
}

/// The first of the problems in one line, without its place.
fn first(problems: &Problems) -> String {
    let first = problems.as_slice().first();
    first.map_or_else(String::new, |problem| problem.cause.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pipeline, PipelineNode};

    fn fits(mut pipeline: Pipeline, nodes: &[(&str, &str)], links: &[&str]) -> Fits {
        for (name, type_name) in nodes {
            pipeline = pipeline.node(name, PipelineNode::new(type_name));
        }
        for link in links {
            pipeline = pipeline.link(link);
        }
        let template = pipeline.template().unwrap_or_else(|p| panic!("{p}"));
        Fits::new(template, PeerConfig::default())
    }

    fn offer(audio: &[(u8, &str)], video: &[(u8, &str)]) -> String {
        let section = |kind: &str, codecs: &[(u8, &str)]| {
            let types: String = codecs.iter().map(|(at, _)| format!(" {at}")).collect();
            let maps = codecs
                .iter()
                .map(|(at, name)| format!("a=rtpmap:{at} {name}\r\n"));
            format!(
                "m={kind} 9 UDP/TLS/RTP/SAVPF{types}\r\n{}",
                maps.collect::<String>()
            )
        };
        format!(
            "v=0\r\n{}{}",
            section("audio", audio),
            section("video", video)
        )
    }

    const PEER: [(&str, &str); 2] = [("browser", "webrtc-source"), ("screen", "webrtc-sink")];

    #[test]
    fn what_needs_no_codec_is_served_by_the_one_plan_whatever_the_peer_has() {
        let fits = fits(
            Pipeline::named("test"),
            &PEER,
            &["browser.out -> screen.in"],
        );
        for audio in ["opus/48000/2", "PCMU/8000", "PCMA/8000"] {
            let (fit, told) = fits.for_offer(&offer(&[(9, audio)], &[(96, "VP8/90000")]));
            assert!(Arc::ptr_eq(&fit, fits.base()), "{audio}");
            assert_eq!(told, Vec::<String>::new());
        }
    }

    #[test]
    fn another_plan_serves_a_peer_that_has_not_what_was_settled_and_is_kept() {
        let fits = fits(
            Pipeline::named("test"),
            &[PEER[0], ("meter", "level")],
            &["browser.audio -> meter"],
        );
        let opus = offer(&[(111, "opus/48000/2")], &[]);
        assert!(Arc::ptr_eq(&fits.for_offer(&opus).0, fits.base()));
        assert!(fits.base().config.codecs.contains(&Codec::Opus));

        let pcmu = offer(&[(0, "PCMU/8000")], &[]);
        let (fit, told) = fits.for_offer(&pcmu);
        assert_eq!(told, Vec::<String>::new());
        let of_kind: Vec<Codec> = fit.config.codecs(MediaKind::Audio).collect();
        assert_eq!(of_kind, [Codec::Pcmu]);
        let nodes = &fit.plan.graph().nodes;
        let inserted = nodes.iter().filter(|node| node.inserted.is_some());
        let types: Vec<_> = inserted.map(|node| node.type_name.as_str()).collect();
        assert_eq!(types, ["g711-decoder"]);
        assert!(Arc::ptr_eq(&fits.for_offer(&pcmu).0, &fit), "it is kept");
        assert!(
            Arc::ptr_eq(&fits.for_answer(&pcmu).0, &fit),
            "for answers as well"
        );
    }

    #[test]
    fn of_an_answer_the_first_codec_counts() {
        let fits = fits(
            Pipeline::named("test"),
            &PEER,
            &["browser.out -> screen.in"],
        );
        assert_eq!(fits.to_offer().codecs, Codec::ALL);
        let sound = [(0, "PCMU/8000"), (111, "opus/48000/2")];
        let answer = offer(&sound, &[(96, "VP8/90000")]);
        assert!(Arc::ptr_eq(&fits.for_answer(&answer).0, fits.base()));
    }

    #[test]
    fn what_cannot_be_served_is_told_with_both_sides_codecs_and_a_remedy() {
        let fits = fits(
            Pipeline::named("test"),
            &PEER,
            &["browser.audio -> screen.audio"],
        );
        let strange = offer(&[(9, "G722/8000"), (101, "telephone-event/8000")], &[]);
        let (fit, told) = fits.for_offer(&strange);
        assert_eq!(told.len(), 1, "{told:?}");
        for part in [
            "no audio",
            "G722",
            "opus, PCMU, PCMA",
            "\"test\"",
            "let the peer offer",
        ] {
            assert!(told[0].contains(part), "{part}: {}", told[0]);
        }
        assert!(!told[0].contains("telephone"), "{}", told[0]);
        assert!(Arc::ptr_eq(&fit.plan, &fits.base().plan));
        let sound = (fit.config.send_audio, fit.config.receive_audio);
        assert_eq!(sound, (false, false));
    }

    #[test]
    fn what_is_not_linked_is_neither_sent_nor_received() {
        let directions = |links: &[&str]| {
            let nodes = [PEER[0], PEER[1], ("meter", "level"), ("tone", "test-audio")];
            let nodes: Vec<_> = nodes
                .into_iter()
                .filter(|(name, _)| links.iter().any(|link| link.contains(name)))
                .collect();
            let fits = fits(Pipeline::named("test"), &nodes, links);
            let config = &fits.base().config;
            [
                (config.send_audio, config.receive_audio),
                (config.send_video, config.receive_video),
            ]
        };
        let none = (false, false);
        for (links, sound, pictures) in [
            (
                &["browser.out -> screen.in"][..],
                (true, true),
                (true, true),
            ),
            (&["browser.audio -> meter"], (false, true), none),
            (&["tone -> screen.audio"], (true, false), none),
            (&["browser.video -> screen.video"], none, (true, true)),
            (&["browser.data -> screen.data"], none, none),
        ] {
            assert_eq!(directions(links), [sound, pictures], "{links:?}");
        }
    }

    #[test]
    fn what_is_taken_and_given_is_of_one_codec_or_told_to_be_impossible() {
        // What is taken may be of any codec that can be decoded, what is given is as the film has it.
        let fits_of = |file: &str| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            let mut pipeline = Pipeline::named("test");
            let film = PipelineNode::new("file-source").param("path", path.display().to_string());
            pipeline = pipeline.node("film", film);
            let links = ["browser.video -> still", "film.video -> screen.video"];
            let still = PipelineNode::new("snapshot").param("path", "still.jpg");
            fits(pipeline.node("still", still), &PEER, &links)
        };
        let peer = offer(&[], &[(96, "VP8/90000"), (97, "H264/90000")]);
        let peer = format!("{peer}a=fmtp:97 packetization-mode=1\r\n");
        // VP8 is decoded without a plugin, H.264 is not.
        let (fit, told) = fits_of("plugins/vp8/tests/moving.ivf").for_offer(&peer);
        assert_eq!(told, Vec::<String>::new());
        let of_kind: Vec<Codec> = fit.config.codecs(MediaKind::Video).collect();
        assert_eq!(of_kind, [Codec::Vp8]);
        let (fit, told) = fits_of("examples/sample.mp4").for_offer(&peer);
        assert!(!fit.config.send_video && !fit.config.receive_video);
        for part in [
            "no video",
            "takes VP8 from a peer and gives H264",
            "both ways",
        ] {
            assert!(told[0].contains(part), "{part}: {told:?}");
        }
    }

    #[test]
    fn plans_are_kept_up_to_a_limit() {
        let fits = fits(
            Pipeline::named("test"),
            &PEER,
            &["browser.audio -> screen.audio"],
        );
        // Each has other codecs, none of which the graph does.
        for kinds in 0..2 * MAX_KEPT {
            let codecs: Vec<Codec> = Codec::ALL.into_iter().cycle().take(kinds).collect();
            fits.narrowed([Some(codecs), None]);
        }
        assert_eq!(fits.kept.lock().expect("no panic").len(), MAX_KEPT);
    }
}
