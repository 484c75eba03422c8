//! A node that runs a closure: what [`closure_plugin`](crate::closure_plugin) makes.

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
    make: std::sync::Mutex<Box<dyn FnMut() -> Step + Send>>,
}

impl Closure {
    pub(crate) fn new<F>(name: &str, f: F) -> Closure
    where
        F: FnMut(Frame) -> Option<Frame> + Clone + Send + 'static,
    {
        // The closure need not be Sync, so cloning it is guarded.
        let make = Box::new(move || Box::new(f.clone()) as Step);
        Closure {
            name: name.into(),
            make: std::sync::Mutex::new(make),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

pub(crate) struct Transform(Step);

impl Node for Transform {
    const NAME: &'static str = "transform";
    const SUMMARY: &'static str = "Runs a closure on every frame";
    const PORTS: &'static [Port] = &[Port::input("in").forwards_to(1), Port::output("out")];

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
