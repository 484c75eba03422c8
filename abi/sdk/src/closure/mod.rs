//! A node that runs a closure: what [`closure_plugin`](crate::closure_plugin) makes.

use levada_abi::{PortDesc, Text};

use crate::{
    describe::Port,
    error::{Error, Result},
    frame::{Frame, Frames},
    host::Context,
    node::{Config, Node},
};

type Step = Box<dyn FnMut(Frame) -> Option<Frame> + Send>;

/// Makes a fresh step for each instance.
pub(crate) struct Closure {
    name: String,
    /// Point into `formats`, whose memory stays where it is when this moves.
    ports: [PortDesc; 2],
    #[allow(dead_code, reason = "kept for as long as `ports` point into it")]
    formats: String,
    make: std::sync::Mutex<Box<dyn FnMut() -> Step + Send>>,
}

impl Closure {
    pub(crate) fn new<F>(name: &str, formats: &str, f: F) -> Closure
    where
        F: FnMut(Frame) -> Option<Frame> + Clone + Send + 'static,
    {
        // The closure need not be Sync, so cloning it is guarded.
        let make = Box::new(move || Box::new(f.clone()) as Step);
        let formats = formats.to_owned();
        let ports = PORTS.map(|port| PortDesc {
            formats: Text::new(&formats),
            ..port.0
        });
        Closure {
            name: name.into(),
            ports,
            formats,
            make: std::sync::Mutex::new(make),
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

pub(crate) struct Transform(Step);

impl Node for Transform {
    const NAME: &'static str = "transform";
    const SUMMARY: &'static str = "Runs a closure on every frame";
    const PORTS: &'static [Port] = &PORTS;

    fn create(config: &Config) -> Result<Self> {
        let closure = config.data().cast::<Closure>();
        // SAFETY: only `closure_plugin` makes descriptors of this type, and sets `data` to a
        // `Closure` that lives as long as the plugin, which outlives its instances.
        let closure = unsafe { closure.as_ref() }
            .ok_or_else(|| Error::new("a transform node exists only with its closure"))?;
        let mut make = closure
            .make
            .lock()
            .map_err(|_| Error::new("cloning the closure for an earlier session panicked"))?;
        Ok(Transform(make()))
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        frames.replace_each(&mut self.0);
        Ok(())
    }
}
