//! A film in negative and half as loud, by two closures:
//!
//! `cargo run --release --example closure`
//!
//! One gets the planes of every picture, the other the samples of every channel. The film is H.264 and AAC; the engine
//! puts decoders in front of the closures and encoders behind them. Arguments: the film, and the file to write, if they
//! are not the sample in this folder and `negative.mp4`.

use std::{error::Error, path::Path, process::ExitCode, sync::mpsc};

use levada::{
    Picture, Pipeline, PipelineNode, Sound, TransformNode,
    engine::{Engine, EngineConfig, plugin::trial},
    load_crate, report,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn main() -> ExitCode {
    // This program loads plugins, which are tried in a process of their own first: this program again.
    trial::serve_if_asked();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("closure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let film = arguments.next();
    let film = film.unwrap_or_else(|| format!("{ROOT}/examples/sample.mp4"));
    let tape = arguments.next().unwrap_or_else(|| "negative.mp4".into());

    let plugins = Path::new(ROOT).join("plugins");
    let pipeline = Pipeline::named("negative")
        .plugin(&load_crate(&plugins.join("h264"))?)
        .plugin(&load_crate(&plugins.join("aac"))?)
        .node(
            "film",
            PipelineNode::new("file-source")
                .param("path", film.as_str())
                .param("pace", "fast"),
        )
        .node(
            "negative",
            TransformNode::video(|picture: &mut Picture| {
                for plane in picture.planes() {
                    plane.data.iter_mut().for_each(|byte| *byte = 255 - *byte);
                }
            }),
        )
        .node(
            "quieter",
            TransformNode::audio(|sound: &mut Sound| {
                for channel in sound.channels() {
                    channel.iter_mut().for_each(|sample| *sample *= 0.5);
                }
            }),
        )
        .node(
            "tape",
            PipelineNode::new("file-sink")
                .param("path", tape.as_str())
                .param("overwrite", true),
        )
        .link("film.video -> negative -> tape.video")
        .link("film.audio -> quieter -> tape.audio");

    let engine = Engine::start(&EngineConfig::default())?;
    let (tell, told) = mpsc::sync_channel(1);
    let on_end = move |ended| {
        // The receiver waits below.
        let _ = tell.send(ended);
    };
    engine.start_session(&pipeline.plan()?, on_end)?;
    let ended = told.recv()?;
    print!("{}", report::run(&ended.report));
    match ended.error {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}
