//! Nodes that run a closure: what [`closure_plugin`](crate::closure_plugin),
//! [`picture_closure`](crate::picture_closure) and [`sound_closure`](crate::sound_closure) make.
//!
//! Each instance runs a clone of the closure, so what it keeps between frames belongs to one session. An error or a
//! panic of it ends that session, as that of any node does.

mod picture;
mod sound;

pub use picture::Picture;
pub use sound::Sound;

use std::{fmt::Display, sync::Mutex};

use levada_abi::{PortDesc, Text};

use crate::{
    describe::Port,
    error::{Error, Result},
    frame::{Frame, Frames},
    host::Context,
    node::{Config, Cost, Node},
};

/// What a closure over pictures or sound may answer: nothing, or a `Result` whose error ends the session.
pub trait Outcome: sealed::Sealed {
    #[doc(hidden)]
    fn into_result(self) -> Result;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<E: std::fmt::Display> Sealed for Result<(), E> {}
}

impl Outcome for () {
    fn into_result(self) -> Result {
        Ok(())
    }
}

impl<E: Display> Outcome for Result<(), E> {
    fn into_result(self) -> Result {
        self.map_err(Error::new)
    }
}

/// What an instance does with a batch.
pub(crate) trait Step: Send {
    fn process(&mut self, frames: &mut Frames, ctx: &mut Context) -> Result;
}

/// Runs a closure on whole frames.
#[derive(Clone)]
struct Each<F>(F);

impl<F: FnMut(Frame) -> Option<Frame> + Send> Step for Each<F> {
    fn process(&mut self, frames: &mut Frames, _ctx: &mut Context) -> Result {
        frames.replace_each(&mut self.0);
        Ok(())
    }
}

/// Makes a fresh step for each instance.
pub(crate) struct Closure {
    name: String,
    /// Point into `formats`, whose memory stays where it is when this moves.
    ports: [PortDesc; 2],
    #[allow(dead_code, reason = "kept for as long as `ports` point into it")]
    formats: String,
    pub(crate) cost: Cost,
    /// A closure need not be Sync, so cloning it is guarded.
    make: Mutex<Box<dyn FnMut() -> Box<dyn Step> + Send>>,
}

impl Closure {
    /// Of whole frames: light, as what it does with them is not known to take long.
    pub(crate) fn each<F>(name: &str, formats: &str, f: F) -> Closure
    where
        F: FnMut(Frame) -> Option<Frame> + Clone + Send + 'static,
    {
        Closure::new(name, formats, Cost::Light, Each(f))
    }

    /// Of pictures: heavy, because to touch every pixel takes longer than inline nodes may.
    pub(crate) fn picture<F, R>(name: &str, f: F) -> Closure
    where
        F: FnMut(&mut Picture) -> R + Clone + Send + 'static,
        R: Outcome,
    {
        Closure::new(name, "video/i420", Cost::Heavy, picture::Edit::new(f))
    }

    /// Of sound: light, because a block has few samples.
    pub(crate) fn sound<F, R>(name: &str, f: F) -> Closure
    where
        F: FnMut(&mut Sound) -> R + Clone + Send + 'static,
        R: Outcome,
    {
        Closure::new(name, "audio/f32", Cost::Light, sound::Edit::new(f))
    }

    fn new(name: &str, formats: &str, cost: Cost, step: impl Step + Clone + 'static) -> Closure {
        let formats = formats.to_owned();
        let ports = PORTS.map(|port| PortDesc {
            formats: Text::new(&formats),
            ..port.0
        });
        Closure {
            name: name.into(),
            ports,
            formats,
            cost,
            make: Mutex::new(Box::new(move || Box::new(step.clone()))),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn ports(&self) -> &[PortDesc] {
        &self.ports
    }
}

const PORTS: [Port; 2] = [Port::input("in").forwards_to(1), Port::output("out")];

pub(crate) struct Transform(Box<dyn Step>);

impl Node for Transform {
    const NAME: &'static str = "transform";
    const SUMMARY: &'static str = "Runs a closure on every frame";
    const PORTS: &'static [Port] = &PORTS;

    fn create(config: &Config) -> Result<Self> {
        let closure = config.data().cast::<Closure>();
        // SAFETY: only `export::plugin_of` makes descriptors of this type, and sets `data` to a
        // `Closure` that lives as long as the plugin, which outlives its instances.
        let closure = unsafe { closure.as_ref() }
            .ok_or_else(|| Error::new("a transform node exists only with its closure"))?;
        let mut make = closure
            .make
            .lock()
            .map_err(|_| Error::new("cloning the closure for an earlier session panicked"))?;
        Ok(Transform(make()))
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        self.0.process(frames, ctx)
    }
}
