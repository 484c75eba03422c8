/* The little of libvpx that `vp8-encoder` needs, as functions on an opaque pointer: no layout of libvpx's structs,
 * which differ between its versions, is known outside this file. One thread at a time calls an encoder. */

#include <stdlib.h>
#include <string.h>

#include <vpx/vp8cx.h>
#include <vpx/vpx_encoder.h>

struct levada_vpx {
  vpx_codec_ctx_t codec;
  vpx_codec_enc_cfg_t config;
};

void levada_vpx_close(struct levada_vpx *self);

/* An encoder for real time: constant bitrate, no frame held back, keyframes only when they are asked for. `speed` is
 * libvpx's cpu-used. NULL on failure, with libvpx's code in `error`. */
struct levada_vpx *levada_vpx_open(unsigned width, unsigned height, unsigned kbits, int speed, int skip, int *error) {
  struct levada_vpx *self = calloc(1, sizeof *self);
  if (self == NULL) {
    *error = VPX_CODEC_MEM_ERROR;
    return NULL;
  }
  vpx_codec_enc_cfg_t *config = &self->config;
  vpx_codec_err_t failed = vpx_codec_enc_config_default(vpx_codec_vp8_cx(), config, 0);
  if (failed != VPX_CODEC_OK) {
    *error = failed;
    free(self);
    return NULL;
  }
  config->g_w = width;
  config->g_h = height;
  /* Times are in us. */
  config->g_timebase.num = 1;
  config->g_timebase.den = 1000000;
  config->g_threads = 1;
  config->g_lag_in_frames = 0;
  config->g_pass = VPX_RC_ONE_PASS;
  config->kf_mode = VPX_KF_DISABLED;
  config->rc_end_usage = VPX_CBR;
  config->rc_target_bitrate = kbits;
  config->rc_min_quantizer = 2;
  config->rc_max_quantizer = 58;
  config->rc_undershoot_pct = 100;
  config->rc_overshoot_pct = 15;
  /* In ms of the bitrate. */
  config->rc_buf_sz = 1000;
  config->rc_buf_initial_sz = 500;
  config->rc_buf_optimal_sz = 600;
  config->rc_dropframe_thresh = skip ? 30 : 0;
  failed = vpx_codec_enc_init(&self->codec, vpx_codec_vp8_cx(), config, 0);
  if (failed != VPX_CODEC_OK) {
    *error = failed;
    free(self);
    return NULL;
  }
  if ((failed = vpx_codec_control(&self->codec, VP8E_SET_CPUUSED, speed)) != VPX_CODEC_OK ||
      (failed = vpx_codec_control(&self->codec, VP8E_SET_STATIC_THRESHOLD, 1)) != VPX_CODEC_OK ||
      /* A keyframe may take 4.5 times the bits of a frame at 30 Hz on average. */
      (failed = vpx_codec_control(&self->codec, VP8E_SET_MAX_INTRA_BITRATE_PCT, 450)) != VPX_CODEC_OK) {
    *error = failed;
    levada_vpx_close(self);
    return NULL;
  }
  return self;
}

/* Encodes a picture of the encoder's size, tightly packed planes in `yuv`. `at` and `duration` are in us; `at` grows from call to call.
 * The frame lies in libvpx's memory until the next call; `length` is 0 when it left the picture out. Returns 0 or
 * libvpx's code. */
int levada_vpx_encode(struct levada_vpx *self, const unsigned char *const yuv[3], long long at, unsigned long duration,
                      int keyframe, const unsigned char **data, size_t *length, int *is_keyframe) {
  *data = NULL;
  *length = 0;
  *is_keyframe = 0;
  vpx_image_t image;
  unsigned width = self->config.g_w, height = self->config.g_h;
  memset(&image, 0, sizeof image);
  /* libvpx only reads it. */
  if (vpx_img_wrap(&image, VPX_IMG_FMT_I420, width, height, 1, (unsigned char *)yuv[0]) == NULL) {
    return VPX_CODEC_INVALID_PARAM;
  }
  for (int plane = 0; plane < 3; plane++) {
    image.planes[plane] = (unsigned char *)yuv[plane];
    image.stride[plane] = (int)(plane == 0 ? width : (width + 1) / 2);
  }
  vpx_codec_err_t failed = vpx_codec_encode(&self->codec, &image, at, duration, keyframe ? VPX_EFLAG_FORCE_KF : 0,
                                            VPX_DL_REALTIME);
  if (failed != VPX_CODEC_OK) {
    return failed;
  }
  vpx_codec_iter_t next = NULL;
  const vpx_codec_cx_pkt_t *packet;
  /* Without lag and without partitions of their own, a picture gives one at most. */
  while ((packet = vpx_codec_get_cx_data(&self->codec, &next)) != NULL) {
    if (packet->kind == VPX_CODEC_CX_FRAME_PKT) {
      *data = packet->data.frame.buf;
      *length = packet->data.frame.sz;
      *is_keyframe = (packet->data.frame.flags & VPX_FRAME_IS_KEY) != 0;
    }
  }
  return VPX_CODEC_OK;
}

/* Aims at this many kbit/s from the next picture on. Returns 0 or libvpx's code. */
int levada_vpx_set_bitrate(struct levada_vpx *self, unsigned kbits) {
  self->config.rc_target_bitrate = kbits;
  return vpx_codec_enc_config_set(&self->codec, &self->config);
}

/* What a code of libvpx means, in static memory. */
const char *levada_vpx_reason(int code) { return vpx_codec_err_to_string((vpx_codec_err_t)code); }

void levada_vpx_close(struct levada_vpx *self) {
  vpx_codec_destroy(&self->codec);
  free(self);
}
