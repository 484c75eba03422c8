//! [`Pipeline`]: a graph made by an application, as a straight line or of named nodes and links.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use levada_engine::{
    graph::{GraphBuilder, ParamValue, Place, Plan, Problem, Problems, parse_patterns},
    plugin::Registry,
};
use levada_plugin::{
    Frame, Outcome, Picture, Plugin, Sound, closure_plugin_of, picture_closure, sound_closure,
};

use crate::{graph_file, template::Template};

/// A node of a [`Pipeline`].
///
/// Made by [`WebRtcManager::create_source_node`](crate::WebRtcManager::create_source_node) and
/// [`create_sink_node`](crate::WebRtcManager::create_sink_node), by [`TransformNode::new`], or by
/// [`PipelineNode::new`] for any other node type.
pub struct PipelineNode {
    type_name: String,
    params: Vec<(String, ParamValue)>,
    input: String,
    output: String,
    plugin: Option<Plugin>,
    problem: Option<Problem>,
}

impl PipelineNode {
    /// Names a node type that is linked into the host, such as `level`. Frames come in at its port
    /// `in` and go out at its port `out`.
    #[must_use]
    pub fn new(type_name: &str) -> PipelineNode {
        PipelineNode {
            type_name: type_name.into(),
            params: vec![],
            input: "in".into(),
            output: "out".into(),
            plugin: None,
            problem: None,
        }
    }

    /// Adds the plugin that the node type comes from, such as one that
    /// [`levada_engine::plugin::load`] opened or an rlib crate describes.
    #[must_use]
    pub fn of_plugin(mut self, plugin: &Plugin) -> PipelineNode {
        self.plugin = Some(plugin.clone());
        self
    }

    /// Sets a param.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<ParamValue>) -> PipelineNode {
        self.params.push((name.into(), value.into()));
        self
    }

    /// Lets frames come in at `input` and go out at `output` instead, where nodes are lined up
    /// ([`Pipeline::new`]).
    #[must_use]
    pub fn ports(mut self, input: &str, output: &str) -> PipelineNode {
        self.input = input.into();
        self.output = output.into();
        self
    }
}

/// A node that runs a closure on every frame.
pub struct TransformNode;

impl TransformNode {
    /// Makes a node whose instances each run a clone of `f`: `Some` goes on, `None` ends the frame's
    /// way. It may run on any thread of the engine or of the connection, and should take microseconds.
    // The name is that of the type an application thinks in; what a pipeline takes is the node.
    #[allow(clippy::new_ret_no_self)]
    pub fn new<F>(f: F) -> PipelineNode
    where
        F: FnMut(Frame) -> Option<Frame> + Clone + Send + 'static,
    {
        Self::of("*", f)
    }

    /// Makes such a node for certain formats, such as `audio/opus` or `audio/f32 video/i420`: patterns
    /// as ports state them. Frames that come as something else are converted in front of it, by nodes
    /// that the engine inserts.
    pub fn of<F>(formats: &str, f: F) -> PipelineNode
    where
        F: FnMut(Frame) -> Option<Frame> + Clone + Send + 'static,
    {
        let cause = match parse_patterns(formats) {
            Ok(patterns) if patterns.is_empty() => Some("a closure has no formats".to_owned()),
            Ok(_) => None,
            Err(cause) => Some(format!("a closure's formats: {cause}")),
        };
        let remedy = "write patterns such as audio/opus or video/i420, separated by spaces";
        let problem = cause.map(|cause| Problem::new(Place::Pipeline, cause, remedy));
        let node = Self::named(|name| closure_plugin_of(name, formats, f));
        PipelineNode { problem, ..node }
    }

    /// Makes a node whose instances each run a clone of `f` on every picture, decoded, to write its planes where they
    /// lie (`video/i420`, any size, which may change from picture to picture). The engine inserts the decoder in front
    /// of it and the encoder behind it where the rest of the graph is coded. Between peers link the ports of one kind,
    /// as in `in.video -> negative -> out.video`: the ports that a straight [`Pipeline::new`] takes carry all kinds.
    ///
    /// A picture that others hold as well, such as another consumer of the same output, is copied first; the report
    /// shows it. `f` runs on the engine's workers, and may answer nothing or a `Result`: an error, or a panic, ends
    /// its session, named after the node.
    ///
    /// ```
    /// use levada::{Picture, Pipeline, PipelineNode, TransformNode};
    ///
    /// let pipeline = Pipeline::new([
    ///     PipelineNode::new("test-video"),
    ///     TransformNode::video(|picture: &mut Picture| {
    ///         picture.y().iter_mut().for_each(|light| *light = 255 - *light);
    ///     }),
    ///     PipelineNode::new("null"),
    /// ]);
    /// # assert!(pipeline.plan().is_ok());
    /// ```
    pub fn video<F, R>(f: F) -> PipelineNode
    where
        F: FnMut(&mut Picture) -> R + Clone + Send + 'static,
        R: Outcome,
    {
        Self::named(|name| picture_closure(name, f))
    }

    /// Makes a node whose instances each run a clone of `f` on every block of sound, decoded, a slice of samples for
    /// each channel (`audio/f32`, any rate and channels). The engine inserts codecs around it as around
    /// [`video`](TransformNode::video).
    ///
    /// Samples of a frame are interleaved: sound of one channel is written where it lies, that of more is copied apart
    /// and together again, which the report shows. `f` may run on the connection's thread or in the audio lane, and should
    /// take microseconds; errors are as for [`video`](TransformNode::video).
    ///
    /// ```
    /// use levada::{Pipeline, PipelineNode, Sound, TransformNode};
    ///
    /// let pipeline = Pipeline::new([
    ///     PipelineNode::new("test-audio"),
    ///     TransformNode::audio(|sound: &mut Sound| {
    ///         let quieter = |sample: &mut f32| *sample *= 0.5;
    ///         sound.channels().for_each(|channel| channel.iter_mut().for_each(quieter));
    ///     }),
    ///     PipelineNode::new("level"),
    /// ]);
    /// # assert!(pipeline.plan().is_ok());
    /// ```
    pub fn audio<F, R>(f: F) -> PipelineNode
    where
        F: FnMut(&mut Sound) -> R + Clone + Send + 'static,
        R: Outcome,
    {
        Self::named(|name| sound_closure(name, f))
    }

    /// Each closure is a node type of its own, so its name has to be.
    fn named(make: impl FnOnce(&str) -> Plugin) -> PipelineNode {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("transform-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        PipelineNode {
            plugin: Some(make(&name)),
            ..PipelineNode::new(&name)
        }
    }
}

/// Nodes and the links between them. Usually a straight line, where what the first puts out goes through
/// the others to the last:
///
/// ```no_run
/// use levada::{Pipeline, PipelineNode, TransformNode};
///
/// let pipeline = Pipeline::new([
///     PipelineNode::new("test-audio").param("frequency", 440.0),
///     TransformNode::new(|frame| (frame.pts() < 1_000_000_000).then_some(frame)),
///     PipelineNode::new("level"),
/// ]);
/// ```
///
/// Any other graph is made of nodes with names, and of links in the notation of a graph file:
///
/// ```
/// use levada::{Pipeline, PipelineNode, TransformNode};
///
/// let pipeline = Pipeline::named("tones")
///     .node("low", PipelineNode::new("test-audio").param("frequency", 220.0))
///     .node("high", PipelineNode::new("test-audio").param("frequency", 880.0))
///     .node("gate", TransformNode::of("audio/f32", Some))
///     .node("meter", PipelineNode::new("level"))
///     .node("away", PipelineNode::new("null"))
///     .link("low -> gate -> meter")
///     .link("high -> away");
/// assert_eq!(pipeline.plan()?.graph().nodes.len(), 5);
/// # Ok::<(), levada::engine::graph::Problems>(())
/// ```
pub struct Pipeline {
    name: String,
    nodes: Vec<(String, PipelineNode)>,
    links: Vec<String>,
    plugins: Vec<Plugin>,
}

impl Pipeline {
    /// Begins a graph without nodes.
    #[must_use]
    pub fn named(name: &str) -> Pipeline {
        Pipeline {
            name: name.into(),
            nodes: vec![],
            links: vec![],
            plugins: vec![],
        }
    }

    /// Lines up nodes, from source to sink.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = PipelineNode>) -> Pipeline {
        let nodes = nodes.into_iter().enumerate();
        let nodes: Vec<_> = nodes
            .map(|(at, node)| (format!("{}-{at}", node.type_name), node))
            .collect();
        let links = nodes.windows(2).map(|pair| {
            let [(from, source), (to, target)] = pair else {
                unreachable!("windows of two");
            };
            format!("{from}.{} -> {to}.{}", source.output, target.input)
        });
        Pipeline {
            links: links.collect(),
            nodes,
            ..Pipeline::named("pipeline")
        }
    }

    /// Adds a node.
    #[must_use]
    pub fn node(mut self, name: &str, node: PipelineNode) -> Pipeline {
        self.nodes.push((name.into(), node));
        self
    }

    /// Adds a link, or a chain of links, such as `film.video -> screen.video`.
    #[must_use]
    pub fn link(mut self, link: &str) -> Pipeline {
        self.links.push(link.into());
        self
    }

    /// Adds a plugin whose node types may be named, and whose converters may be inserted, such as one of
    /// [`load_crate`](crate::load_crate).
    #[must_use]
    pub fn plugin(mut self, plugin: &Plugin) -> Pipeline {
        self.plugins.push(plugin.clone());
        self
    }

    /// Plans the pipeline, as `levada run` does with a graph file.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn plan(&self) -> Result<Arc<Plan>, Problems> {
        Ok(self.template()?.plan().clone())
    }

    /// Plans the pipeline, and keeps what is needed to plan it for peers that cannot do what that settles.
    pub(crate) fn template(&self) -> Result<Template, Problems> {
        let mut registry: Registry = graph_file::builtin_types();
        graph_file::hint_at_codecs(&mut registry, |plugin| {
            format!("add its plugin: .plugin(&load_crate(\"plugins/{plugin}\".as_ref())?)")
        });
        let of_nodes = self
            .nodes
            .iter()
            .filter_map(|(_, node)| node.plugin.as_ref());
        for plugin in self.plugins.iter().chain(of_nodes) {
            registry.add(plugin);
        }
        let mut problems = Problems::default();
        let mut graph = GraphBuilder::new(&self.name);
        for (name, node) in &self.nodes {
            if let Some(problem) = &node.problem {
                problems.push(problem.clone());
            }
            let mut added = graph.node(name, &node.type_name);
            for (param, value) in &node.params {
                added = added.param(param, value.clone());
            }
        }
        for link in &self.links {
            graph.link(link);
        }
        // What a closure's formats do to the rest of the graph would only be noise.
        if !problems.as_slice().is_empty() {
            return Err(problems);
        }
        Template::new(registry, move |catalog| graph.build(catalog))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_a_closure_that_cannot_be_read_are_a_problem_of_the_plan() {
        for (formats, said) in [
            ("audio/f32;rate=fast", "audio/f32;rate=fast"),
            (" ", "no formats"),
        ] {
            let pipeline = Pipeline::new([
                PipelineNode::new("test-audio"),
                TransformNode::of(formats, Some),
                PipelineNode::new("null"),
            ]);
            let problems = pipeline.plan().err().expect("a problem").to_string();
            assert!(problems.contains(said), "{problems}");
        }
    }

    #[test]
    fn what_a_closure_does_not_take_is_converted_in_front_of_it() {
        let pipeline = Pipeline::named("coded")
            .node("tone", PipelineNode::new("test-audio"))
            .node("packets", TransformNode::of("audio/opus", Some))
            .node("away", PipelineNode::new("null"))
            .link("tone -> packets -> away");
        let plan = pipeline.plan().unwrap_or_else(|p| panic!("{p}"));
        assert_eq!(plan.formats("away", "in").len(), 1);
        assert!(plan.formats("away", "in")[0].starts_with("audio/opus"));
        let nodes = plan.graph().nodes.iter();
        let inserted = nodes.filter(|node| node.inserted.is_some());
        assert_eq!(inserted.count(), 1, "an encoder");
    }
}
