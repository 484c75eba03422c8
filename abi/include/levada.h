/* levada.h: the plugin contract of Levada in C99, version 1.0.
 *
 * A plugin is a shared library that defines levada_plugin_v1 and carries a version note:
 *
 *     LEVADA_NOTE("mine 1.0.0");
 *     LEVADA_EXPORT const LevadaPluginDesc *levada_plugin_v1(void) { return &plugin; }
 *
 *     cc -shared -fPIC -O2 -I abi/include -o libmine.so mine.c
 *
 * The host reads the note before it opens the library, tries the library in a child process, checks
 * every description, calls `init` once, and never closes the library. All descriptions are static.
 *
 * Rules for every function: it does not throw, longjmp or end the process. A struct that begins
 * with `size` holds sizeof(that struct) as its maker knew it; later versions append fields. Reserved
 * values are 0. Texts are UTF-8 without terminating zero. Times are in ns unless a name says more.
 *
 * A test compares every size and offset here with the Rust crate `levada-abi`. */
#ifndef LEVADA_H
#define LEVADA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LEVADA_ABI_MAJOR 1u
#define LEVADA_ABI_MINOR 0u
/* A host loads plugins of its own major version and of no newer minor version. */
#define LEVADA_ABI_VERSION (LEVADA_ABI_MAJOR << 16 | LEVADA_ABI_MINOR)

/* ---- Status ---------------------------------------------------------------------------------- */

/* What a call answered: 0 or more is success. The text of a node's failure goes to
 * LevadaHostVTable.error before the failing function returns. */
typedef int32_t LevadaStatus;
#define LEVADA_OK ((LevadaStatus)0)
#define LEVADA_KEPT ((LevadaStatus)1)   /* process, observe: as OK, and every slot holds a frame still */
#define LEVADA_AGAIN ((LevadaStatus)2)  /* tick: as OK, and the next tick is wanted at once */
#define LEVADA_FAILED ((LevadaStatus)-1)
#define LEVADA_INVALID ((LevadaStatus)-2)     /* an argument does not fit the contract */
#define LEVADA_GONE ((LevadaStatus)-3)        /* the handle's node is gone */
#define LEVADA_FULL ((LevadaStatus)-4)        /* a table, queue or memory limit is full */
#define LEVADA_UNSUPPORTED ((LevadaStatus)-5) /* not offered, or not handled */
#define LEVADA_PANICKED ((LevadaStatus)-6)    /* an exception, caught on the callee's side */

/* ---- Text and lists -------------------------------------------------------------------------- */

/* Borrowed text: for the call that passes it, or for ever in a description. */
typedef struct LevadaText {
    const uint8_t *ptr; /* may be null when len is 0 */
    size_t len;         /* bytes */
} LevadaText;

/* A LevadaText of a string literal, for initializers. */
#define LEVADA_TEXT(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

/* ---- Buffers --------------------------------------------------------------------------------- */

/* The functions of a buffer's owner. Any thread may call any of them at any time. */
typedef struct LevadaBufferVTable {
    size_t size;
    void (*retain)(void *owner);
    void (*release)(void *owner); /* the last one frees the memory */
    /* 1 when there is one reference and the memory may be written, else 0. */
    uint8_t (*is_unique_and_writable)(void *owner);
    /* What the memory is besides bytes, by the interface's static name, or null. */
    const void *(*query)(void *owner, LevadaText id);
} LevadaBufferVTable;

/* A counted reference to a window of memory. vtable null: it refers to nothing. */
typedef struct LevadaBuffer {
    uint8_t *ptr;
    size_t len; /* bytes */
    void *owner;
    const LevadaBufferVTable *vtable;
} LevadaBuffer;

/* ---- Frames ---------------------------------------------------------------------------------- */

/* The head of a piece of side data; its maker appends the content. Any thread; immutable once a
 * frame carries it. */
typedef struct LevadaSideData {
    LevadaText id;    /* what the content is; static, such as levada.rtp/1 */
    const void *data; /* lives as long as the reference */
    size_t size;      /* bytes */
    const void *next; /* the next LevadaSideData, owned by this one, or null */
    void (*retain)(void *self);
    void (*release)(void *self);
} LevadaSideData;

/* One unit of media. A slot whose buffer.vtable is null holds no frame. Taking a frame out of a slot
 * means copying its bytes and then emptying the slot (levada_frame_take): one reference, one owner. */
typedef struct LevadaFrame {
    LevadaBuffer buffer;
    int64_t pts;       /* presentation time on the session's timeline, ns */
    uint32_t duration; /* us; 0 when unknown */
    int32_t dts_delta; /* decoding time less presentation time, us */
    uint32_t format;   /* id in the session (format_get); 0 is none */
    uint16_t stream;
    uint16_t flags;       /* LEVADA_FRAME_* */
    LevadaSideData *side; /* one owned reference, or null */
} LevadaFrame;

#define LEVADA_FRAME_KEYFRAME 1u        /* decoding can begin here */
#define LEVADA_FRAME_DISCONTINUITY 2u   /* something is missing before, or the timeline jumped */
#define LEVADA_FRAME_MARKER 4u          /* last packet of an access unit, in packet mode */
#define LEVADA_FRAME_DROPPABLE 8u       /* may be dropped without hurting what follows */
#define LEVADA_FRAME_INTER 16u          /* decodable together with earlier frames only */
#define LEVADA_FRAME_MEDIA_SHIFT 8      /* two bits that repeat the format's media */
#define LEVADA_FRAME_MEDIA_MASK 0x300u

/* ---- Formats and streams --------------------------------------------------------------------- */

#define LEVADA_MEDIA_AUDIO 1u
#define LEVADA_MEDIA_VIDEO 2u
#define LEVADA_MEDIA_DATA 3u

/* What the frames of a stream hold. Fields that do not concern the media are 0. */
typedef struct LevadaFormat {
    size_t size;
    uint32_t media;            /* LEVADA_MEDIA_* */
    uint32_t rate;             /* audio: samples a second and channel, or clock rate */
    uint32_t channels;         /* audio: interleaved when raw */
    uint32_t width;            /* video: pixels; 0 when not known yet */
    uint32_t height;           /* video: pixels; 0 when not known yet */
    uint32_t frame_rate_milli; /* frames a second at most, in 1/1000; 0 when not known */
    LevadaText encoding;       /* opus, f32, s16, vp8, h264, i420, ...; data: the MIME type */
    LevadaText config;         /* fmtp parameters, or the codec's own bytes; often empty */
} LevadaFormat;

/* What belongs to a stream and not to its frames. */
typedef struct LevadaStreamInfo {
    size_t size;
    uint32_t media;   /* LEVADA_MEDIA_* */
    LevadaText label; /* a track's id, a data channel's label */
} LevadaStreamInfo;

/* ---- Events ---------------------------------------------------------------------------------- */

/* Control beside the frames. Kinds below 0x100 travel against the flow, the others with it, in order with
 * the frames. A node that does not handle one answers LEVADA_UNSUPPORTED, and the host passes it on. */
typedef struct LevadaEvent {
    uint32_t kind;   /* LEVADA_EVENT_* */
    uint32_t stream; /* LEVADA_ALL_STREAMS: every stream of the port */
    int64_t value;   /* depends on the kind */
} LevadaEvent;

#define LEVADA_EVENT_KEYFRAME_REQUEST 1u /* upstream: send a keyframe soon */
#define LEVADA_EVENT_BITRATE 2u          /* upstream: the receiver can take `value` bits a second */
#define LEVADA_EVENT_END_OF_STREAM 0x100u /* downstream, by the host: nothing more comes in */
#define LEVADA_EVENT_FLUSH 0x101u /* downstream: let go of what is held of what came before */
#define LEVADA_EVENT_GAP 0x102u   /* downstream: no frame comes whose pts lies before `value` ns */
#define LEVADA_ALL_STREAMS UINT32_MAX

/* ---- The host's services --------------------------------------------------------------------- */

/* Names a node instance. A call with the handle of a node that is gone is answered LEVADA_GONE. */
typedef struct LevadaNodeHandle {
    uint32_t slot;
    uint32_t generation;
} LevadaNodeHandle;

#define LEVADA_LEVEL_ERROR 1u
#define LEVADA_LEVEL_WARN 2u
#define LEVADA_LEVEL_INFO 3u
#define LEVADA_LEVEL_DEBUG 4u
#define LEVADA_LEVEL_TRACE 5u

/* Where a log record comes from. The texts are static. */
typedef struct LevadaLogSite {
    uint32_t level; /* LEVADA_LEVEL_* */
    uint32_t line;  /* 0 when unknown */
    LevadaText target;
    LevadaText file;
} LevadaLogSite;

/* Any thread may call any of them unless its line says otherwise; none blocks longer than a short
 * critical section. The first argument is always the field `host`. */
typedef struct LevadaHostVTable {
    size_t size;
    uint32_t abi_version;
    void *host;
    uint8_t (*log_enabled)(void *host, const LevadaLogSite *site);
    void (*log)(void *host, const LevadaLogSite *site, LevadaText message); /* cut at 8 KiB */
    /* Sets the text of the failure that the node's function is about to answer. */
    void (*error)(void *host, LevadaNodeHandle node, LevadaText message);
    /* Loans a unique, writable buffer, content undefined. LEVADA_FULL at the memory limit. */
    LevadaStatus (*loan)(void *host, LevadaNodeHandle node, size_t len, LevadaBuffer *out);
    /* Answers the format's id in the session, or 0 (64 a session, or malformed). */
    uint32_t (*format_intern)(void *host, LevadaNodeHandle node, const LevadaFormat *format);
    /* Answers null for an unknown id; the entry lives as long as the node. */
    const LevadaFormat *(*format_get)(void *host, LevadaNodeHandle node, uint32_t id);
    /* Answers the stream's id (0 to 65534), or -1 (256 a session). */
    int32_t (*stream_declare)(void *host, LevadaNodeHandle node, const LevadaStreamInfo *info);
    /* Answers null for an unknown id; the entry lives as long as the node. */
    const LevadaStreamInfo *(*stream_get)(void *host, LevadaNodeHandle node, uint32_t id);
    /* Hands frames in at an output port, from a thread of the source's own; one call at a time a
     * node. Answers how many it took, from the front, emptying their slots; negative: a status. */
    int32_t (*ingest)(void *host, LevadaNodeHandle node, uint32_t port, LevadaFrame *frames,
                      uint32_t count);
    /* Says that a source hands in no more frames. */
    LevadaStatus (*finish)(void *host, LevadaNodeHandle node);
    /* Asks for one call of tick, soon. */
    LevadaStatus (*wake)(void *host, LevadaNodeHandle node);
    /* Asks for one call of tick at that time of the host's clock; replaces an earlier deadline. */
    LevadaStatus (*timer)(void *host, LevadaNodeHandle node, int64_t deadline_ns);
    /* The host's clock: ns since the engine started, monotonic. */
    int64_t (*now)(void *host);
    /* Raises an upstream event at an input port. */
    LevadaStatus (*raise)(void *host, LevadaNodeHandle node, uint32_t port,
                          const LevadaEvent *event);
    /* Declare what the node copied (bytes of payload) and dropped (units): it shows in reports. */
    void (*copied)(void *host, LevadaNodeHandle node, uint64_t bytes);
    void (*dropped)(void *host, LevadaNodeHandle node, uint64_t count);
    /* Sends FLUSH or GAP at an output port of a source, from a thread of its own, in order with what
     * it ingests; LEVADA_FULL when the links have no room now. */
    LevadaStatus (*signal)(void *host, LevadaNodeHandle node, uint32_t port,
                           const LevadaEvent *event);
    /* Says how much media the node has worked through, in ns of the media's time, and of how much;
     * total_ns is 0 or less where that is not known or has no end. */
    void (*progress)(void *host, LevadaNodeHandle node, int64_t done_ns, int64_t total_ns);
} LevadaHostVTable;

/* ---- Node types ------------------------------------------------------------------------------ */

#define LEVADA_INPUT 0u
#define LEVADA_OUTPUT 1u

#define LEVADA_PORT_REQUIRED 1u  /* a graph that leaves it unlinked is refused */
#define LEVADA_PORT_READ_ONLY 2u /* frames come by observe and stay the host's */

#define LEVADA_NOWHERE UINT32_MAX

/* Ports are numbered from 0 in the order of the list, inputs and outputs together. */
typedef struct LevadaPortDesc {
    LevadaText name;      /* [a-z0-9_-]+ */
    uint32_t direction;   /* LEVADA_INPUT or LEVADA_OUTPUT */
    uint32_t flags;       /* LEVADA_PORT_* */
    LevadaText formats;   /* patterns separated by spaces, the preferred ones first:
                           * *, video/vp8 video/h264, audio/f32;rate=8000|48000;channels=1..2 */
    uint32_t forwards_to; /* input: output port for what is left in the slots; LEVADA_NOWHERE */
    uint32_t max_out;     /* output: frames out at most for each input frame, forwarded ones too */
} LevadaPortDesc;

#define LEVADA_PARAM_FLOAT 0u
#define LEVADA_PARAM_INTEGER 1u
#define LEVADA_PARAM_BOOL 2u
#define LEVADA_PARAM_TEXT 3u
#define LEVADA_PARAM_CHOICE 4u
#define LEVADA_PARAM_PATH 5u /* text; the host resolves one of a graph file against its folder */

/* A param's value; the kind says which field counts. */
typedef struct LevadaParamValue {
    double float_;
    int64_t integer; /* also a bool, as 0 or 1 */
    LevadaText text; /* also a choice or a path */
} LevadaParamValue;

typedef struct LevadaParamDesc {
    LevadaText name;    /* [a-z0-9_-]+ */
    uint32_t kind;      /* LEVADA_PARAM_* */
    uint32_t required;  /* 1: the graph must give a value */
    LevadaParamValue default_;
    double min;         /* -INFINITY: no limit */
    double max;         /* INFINITY: no limit */
    LevadaText choices; /* words separated by spaces */
    LevadaText unit;    /* such as dB; may be empty */
    LevadaText help;    /* one sentence */
} LevadaParamDesc;

/* What a new instance is told. Valid during create_at; `host` lives for ever. */
typedef struct LevadaNodeConfig {
    size_t size;
    LevadaNodeHandle node;
    uint64_t session;
    LevadaText name;                /* the node's name in the graph */
    const LevadaParamValue *params; /* in the order of the type's params */
    size_t params_len;
    uint64_t linked_ports; /* bit n: port n is linked */
    const LevadaHostVTable *host;
    const void *data; /* LevadaNodeTypeDesc.data */
    /* For each port: the patterns of what it will carry, as in LevadaPortDesc.formats and within them;
     * empty for one that is not linked. Null when the host negotiates nothing. */
    const LevadaText *formats;
    size_t formats_len;
} LevadaNodeConfig;

/* How a node hands frames on during a call: valid during that call, on its thread only. */
typedef struct LevadaContext {
    void *call;  /* first argument of emit */
    /* Takes a frame for an output port and empties the slot. LEVADA_FULL beyond max_out,
     * LEVADA_INVALID for a port that is no output: then the frame stays. */
    LevadaStatus (*emit)(void *call, uint32_t port, LevadaFrame *frame);
    /* Sends FLUSH or GAP at an output port, behind what was emitted there so far. */
    LevadaStatus (*signal)(void *call, uint32_t port, const LevadaEvent *event);
} LevadaContext;

/* The functions of a node type; none may be null. The host calls one function of an instance at a
 * time, from any of its threads: create_at, start, then process, observe, tick and event in any
 * order, drain, stop, destroy. After a failure only stop (if start succeeded) and destroy follow. */
typedef struct LevadaNodeVTable {
    size_t size;
    /* Makes an instance in `memory` (state_size, state_align; its address is fixed for life). On
     * failure the memory counts as unused. */
    LevadaStatus (*create_at)(void *memory, const LevadaNodeConfig *config);
    /* Begins work: from here on the node may ingest and set timers. It cannot emit yet; events
     * that it sends come before its first frame. */
    LevadaStatus (*start)(void *node, const LevadaContext *ctx);
    /* Takes a batch at an input port. A frame is the node's once it has emptied the slot; what lies
     * in the slots on return is forwarded on success, and released and counted on failure. */
    LevadaStatus (*process)(void *node, uint32_t port, LevadaFrame *frames, uint32_t count,
                            const LevadaContext *ctx);
    /* Looks at a batch at a read-only input port. */
    LevadaStatus (*observe)(void *node, uint32_t port, const LevadaFrame *frames, uint32_t count,
                            const LevadaContext *ctx);
    /* Called after wake, or when a timer is due. */
    LevadaStatus (*tick)(void *node, const LevadaContext *ctx);
    /* Takes an event at a port; LEVADA_UNSUPPORTED lets an upstream event travel on. */
    LevadaStatus (*event)(void *node, uint32_t port, const LevadaEvent *event,
                          const LevadaContext *ctx);
    /* Emits what is still held. */
    LevadaStatus (*drain)(void *node, const LevadaContext *ctx);
    /* Ends the node's own threads and late calls; returns when there are none left. */
    LevadaStatus (*stop)(void *node);
    /* Destroys the instance; the memory is the host's again. */
    void (*destroy)(void *node);
    /* Answers an extension by name, static and the same at every call, or null. */
    const void *(*get_ext)(LevadaText name);
} LevadaNodeVTable;

/* The extension LEVADA_OFFERS, where the formats of ports follow from params: get_ext answers a static
 * LevadaOffersVTable under this name. */
#define LEVADA_OFFERS "levada.offers/1"

/* Takes the text of an answer, valid during the call; a later one replaces it. At most 4096 bytes. */
typedef void (*LevadaAnswer)(void *call, LevadaText text);

typedef struct LevadaOffersVTable {
    size_t size;
    /* Says what the port will offer or accept in a node with these params. May read files; called by any
     * thread, several at once, without an instance.
     * LEVADA_OK: the answer is patterns as in LevadaPortDesc.formats and within them.
     * LEVADA_UNSUPPORTED: it cannot be said, so what the type states stands.
     * Another failure: the node cannot be used like this; the answer says why, cause and remedy with
     * "; " between them.
     * `config`: params as in create_at, no formats, this port's bit alone in linked_ports; its host lives for
     * ever and offers nothing. */
    LevadaStatus (*formats)(const LevadaNodeConfig *config, uint32_t port, void *call,
                            LevadaAnswer answer);
} LevadaOffersVTable;

#define LEVADA_COST_LIGHT 0u    /* some tens of us a frame: runs inline, on any thread */
#define LEVADA_COST_HEAVY 1u    /* more: runs on the workers */
#define LEVADA_COST_BLOCKING 2u /* may wait: runs on threads set aside for that */

#define LEVADA_TYPE_LIVE 1u /* a source that cannot be paused */
#define LEVADA_TYPE_PEER 2u /* belongs to one peer: its graph is a template for sessions */
/* The host may insert it where the ends of a link do not agree: one input, one output; params named
 * rate, channels, width, height and encoding say what is wanted, 0 keeps what comes in. */
#define LEVADA_TYPE_CONVERTER 4u

typedef struct LevadaPortList {
    const LevadaPortDesc *ptr;
    size_t len; /* at most 64 */
} LevadaPortList;

typedef struct LevadaParamList {
    const LevadaParamDesc *ptr;
    size_t len; /* at most 256 */
} LevadaParamList;

typedef struct LevadaNodeTypeDesc {
    size_t size;
    LevadaText name;    /* [a-z0-9_-]+ */
    LevadaText summary; /* one sentence: a verb and the result */
    LevadaPortList ports;
    LevadaParamList params;
    uint32_t cost;       /* LEVADA_COST_* */
    uint32_t flags;      /* LEVADA_TYPE_* */
    uint64_t latency_ns; /* from in to out, beyond the time of the call */
    size_t state_size;   /* bytes, at most 16 MiB */
    size_t state_align;  /* a power of two, at most 4096 */
    const LevadaNodeVTable *vtable;
    const void *data; /* handed to every instance; null unless wanted */
} LevadaNodeTypeDesc;

typedef struct LevadaNodeTypeList {
    const LevadaNodeTypeDesc *ptr;
    size_t len; /* at most 256 */
} LevadaNodeTypeList;

/* ---- The plugin ------------------------------------------------------------------------------ */

typedef struct LevadaPluginDesc {
    size_t size;
    uint32_t abi_version; /* LEVADA_ABI_VERSION */
    LevadaText name;      /* [a-z0-9_-]+ */
    LevadaText version;
    LevadaNodeTypeList types;
    /* Called once in a process before anything else; may be null. */
    LevadaStatus (*init)(const LevadaHostVTable *host);
} LevadaPluginDesc;

/* What the file says of itself before it is opened. */
typedef struct LevadaNote {
    uint8_t magic[8];
    uint32_t abi_version;
    uint32_t panic_unwinds;  /* 1: exceptions are caught at the boundary; 0: no; 2: not known */
    uint8_t sdk_version[32]; /* UTF-8, padded with zeros */
} LevadaNote;

#if defined(__APPLE__)
#define LEVADA_NOTE_SECTION "__DATA,.levada"
#else
#define LEVADA_NOTE_SECTION ".levada"
#endif

#if defined(__has_attribute)
#if __has_attribute(retain)
#define LEVADA_RETAIN __attribute__((used, retain))
#endif
#endif
#ifndef LEVADA_RETAIN
#define LEVADA_RETAIN __attribute__((used))
#endif

/* Emits the version note; once in a library. `made_with` is a literal of at most 31 bytes. */
#define LEVADA_NOTE(made_with)                                                                     \
    typedef char levada_note_text_fits[sizeof(made_with) <= 32 ? 1 : -1];                          \
    LEVADA_RETAIN __attribute__((section(LEVADA_NOTE_SECTION))) static const union {               \
        struct {                                                                                   \
            uint8_t magic[8];                                                                      \
            uint32_t abi_version, panic_unwinds;                                                   \
            char sdk_version[32];                                                                  \
        } fields;                                                                                  \
        LevadaNote note;                                                                           \
    } levada_note = { { { 'L', 'E', 'V', 'A', 'D', 'A', 0, 1 }, LEVADA_ABI_VERSION, 2u, made_with } }

#if defined(__cplusplus)
#define LEVADA_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define LEVADA_EXPORT __attribute__((visibility("default")))
#endif

/* The library's entry. The answer is static. */
LEVADA_EXPORT const LevadaPluginDesc *levada_plugin_v1(void);

/* ---- Help for nodes -------------------------------------------------------------------------- */

/* Moves a frame out of its slot, which is then empty. */
static inline LevadaFrame levada_frame_take(LevadaFrame *slot)
{
    LevadaFrame frame = *slot;
    slot->buffer.ptr = NULL;
    slot->buffer.len = 0;
    slot->buffer.owner = NULL;
    slot->buffer.vtable = NULL;
    slot->side = NULL;
    return frame;
}

/* Gives up the frame in a slot, which is then empty. */
static inline void levada_frame_release(LevadaFrame *slot)
{
    LevadaFrame frame = levada_frame_take(slot);
    if (frame.buffer.vtable != NULL) {
        frame.buffer.vtable->release(frame.buffer.owner);
    }
    if (frame.side != NULL) {
        frame.side->release(frame.side);
    }
}

/* The payload for writing, or null when it is shared or read-only. */
static inline uint8_t *levada_frame_writable(LevadaFrame *frame)
{
    const LevadaBuffer *buffer = &frame->buffer;
    if (buffer->vtable == NULL || !buffer->vtable->is_unique_and_writable(buffer->owner)) {
        return NULL;
    }
    return buffer->ptr;
}

#ifdef __cplusplus
}
#endif

#endif
