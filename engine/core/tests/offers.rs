//! What a node's params say of its ports: the plugin is asked before links are negotiated, and not believed.

use levada_engine::{
    graph::{self, Graph, Problems},
    plugin::Registry,
};
use levada_plugin::prelude::*;

/// Says of its ports what its param tells it to say.
struct Tape;

fn says(config: &Config, port: usize) -> Result<Option<String>> {
    assert!(config.is_linked(port), "only linked ports are asked about");
    match config.text("says")? {
        "" => Ok(None),
        "error" => Err(Error::new(format_args!(
            "the tape of \"{}\" is torn; mend it",
            config.name()
        ))),
        "bare error" => Err(Error::new("torn\nto pieces")),
        "silent error" => Err(Error::new("")),
        "panic" => panic!("chewed tape"),
        "too long" => Ok(Some("audio/f32 ".repeat(500))),
        text => Ok(Some(text.into())),
    }
}

impl Node for Tape {
    const NAME: &'static str = "tape";
    const SUMMARY: &'static str = "Says what it is told to";
    const PORTS: &'static [Port] =
        &[Port::output("out").formats("audio/opus audio/f32;rate=8000..48000")];
    const PARAMS: &'static [Param] = &[Param::text("says", ""), Param::path("file")];
    const OFFERS: Option<Offers> = Some(says);

    fn create(_: &Config) -> Result<Self> {
        Ok(Tape)
    }
}

/// Takes any sound.
struct Ear;

impl Node for Ear {
    const NAME: &'static str = "ear";
    const SUMMARY: &'static str = "Takes any sound";
    const PORTS: &'static [Port] = &[Port::input("in").formats("audio/*")];

    fn create(_: &Config) -> Result<Self> {
        Ok(Ear)
    }
}

/// Records what its path's ending says.
struct Deck;

impl Node for Deck {
    const NAME: &'static str = "deck";
    const SUMMARY: &'static str = "Records by a path's ending";
    const PORTS: &'static [Port] = &[Port::input("in").formats("audio/opus audio/f32")];
    const PARAMS: &'static [Param] = &[Param::path("path")];
    const OFFERS: Option<Offers> = Some(|config, _| {
        let is_raw = config.text("path")?.ends_with(".wav");
        Ok(Some(if is_raw { "audio/f32" } else { "audio/opus" }.into()))
    });

    fn create(_: &Config) -> Result<Self> {
        Ok(Deck)
    }
}

#[test]
fn a_node_s_params_say_what_it_accepts_also_before_there_is_a_session() {
    for (path, carried) in [
        ("call-{session}.wav", "audio/f32;rate=8000..48000"),
        ("call-{session}.ogg", "audio/opus"),
        ("call-{time}.ogg", "audio/opus"),
    ] {
        let text = format!(
            "links = [\"music -> deck\"]\n[nodes]\nmusic = {{ type = \"tape\" }}\ndeck = {{ type = \"deck\", params = {{ path = \"{path}\" }} }}\n"
        );
        let mut registry = Registry::default();
        registry.add(
            &Builtin::new("deck", "1.0.0")
                .with::<Tape>()
                .with::<Deck>()
                .into_plugin(),
        );
        let graph = graph::validate(&graph::parse("deck.toml", &text), &registry, &[]);
        let graph = graph.unwrap_or_else(|problems| panic!("{problems}"));
        let formats: Vec<_> = graph.links[0]
            .formats
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(formats, [carried], "{path}");
    }
}

fn graph(params: &str) -> Result<Graph, Problems> {
    let text = format!(
        "links = [\"music -> ear\"]\n[nodes]\nmusic = {{ type = \"tape\", params = {{ {params} }} }}\near = {{ type = \"ear\" }}\n"
    );
    let mut registry = Registry::default();
    registry.add(
        &Builtin::new("deck", "1.0.0")
            .with::<Tape>()
            .with::<Ear>()
            .into_plugin(),
    );
    graph::validate(&graph::parse("deck.toml", &text), &registry, &[])
}

fn carried(says: &str) -> Vec<String> {
    let graph = graph(&format!("says = \"{says}\"")).expect("a graph");
    graph.links[0]
        .formats
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The first line of what is told.
fn refused(says: &str) -> String {
    let problems = graph(&format!("says = \"{says}\"")).expect_err("it is refused");
    assert_eq!(problems.len(), 1, "{problems}");
    let text = problems.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("deck.toml:3:1: \"music\" (tape): ")
        .unwrap_or_else(|| panic!("names its place: {text}"))
        .to_owned()
}

#[test]
fn a_node_s_params_say_what_it_offers() {
    assert_eq!(
        carried("audio/f32;rate=44100;channels=2"),
        ["audio/f32;rate=44100;channels=2"]
    );
    assert_eq!(carried("audio/opus"), ["audio/opus"]);
}

#[test]
fn where_a_node_cannot_say_what_its_type_states_stands() {
    assert_eq!(carried(""), ["audio/f32;rate=8000..48000"]);
    // The number of the session is not known before there is one, and neither is its time, so nobody is asked.
    for open in ["{session}", "{time}"] {
        assert_eq!(carried(open), ["audio/f32;rate=8000..48000"]);
    }
}

#[test]
fn a_node_s_refusal_is_told_at_its_place() {
    assert_eq!(refused("error"), "the tape of \"music\" is torn; mend it");
    assert_eq!(
        refused("bare error"),
        "torn to pieces; change its params, or what they name"
    );
    assert!(refused("silent error").starts_with(
        "it cannot be used with these params, by its port \"out\", and does not say why (status -1)"
    ));
}

#[test]
fn a_panic_in_a_plugin_that_is_asked_is_its_own() {
    assert_eq!(
        refused("panic"),
        "port \"out\": when it was asked what it will carry, it panicked: chewed tape; \
         correct the plugin, or use another node type"
    );
}

#[test]
fn an_answer_that_makes_no_sense_is_refused() {
    for (says, words) in [
        (
            "audio/f32;rat=1",
            "the plugin says that it will carry \"audio/f32;rat=1\", which cannot be read: ",
        ),
        (" ", "which is nothing"),
        (
            "video/i420",
            "but video/i420 is not within what its type states, audio/opus audio/f32;rate=8000..48000",
        ),
        ("audio/f32;rate=96000", "is not within"),
        ("audio/*", "is not within"),
        ("too long", "has more than 4096 bytes"),
    ] {
        let told = refused(says);
        assert!(
            told.starts_with("port \"out\": ") && told.contains(words),
            "{says:?}: {words:?} is not in: {told}"
        );
        assert!(told.ends_with("; correct the plugin, or use another node type"));
    }
}

#[test]
fn a_path_is_text() {
    assert!(graph("file = \"film.mp4\"").is_ok());
    let told = graph("file = 3").expect_err("a number").to_string();
    assert!(
        told.starts_with(
            "deck.toml:3:44: param \"file\" of \"music\" (tape) takes a path, as text, not 3; write file = \"\""
        ),
        "{told}"
    );
}

#[test]
fn the_harness_asks_as_a_host_does() {
    use levada_plugin::harness::{Harness, Value};
    let ask = |says| Harness::<Tape>::offers(&[("says", Value::Text(says))], 0);
    assert_eq!(ask("audio/opus").ok(), Some(Some("audio/opus".into())));
    assert_eq!(ask("").ok(), Some(None));
    assert!(ask("error").is_err_and(|e| e.to_string().ends_with("mend it")));
    assert!(ask("panic").is_err_and(|e| e.to_string() == "it panicked: chewed tape"));
    assert_eq!(Harness::<Ear>::offers(&[], 0).ok(), Some(None));
}
