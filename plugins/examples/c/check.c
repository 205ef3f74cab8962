// True once the pod is on a track of the config and its containers have run for a while.
#include <stdlib.h>
#include <string.h>
#include <time.h>

// JSON becomes tokens that point into its text.
#define JSMN_STATIC
#define JSMN_STRICT
#include <jsmn.h>

#include "plugin.h"

#define LABEL "track"
#define ANNOTATION "example.com/settle-seconds"
#define SCHEMA                                                                                                         \
    "{\"type\": \"object\", \"required\": [\"tracks\"], \"additionalProperties\": false, \"properties\": {\"tracks\": " \
    "{\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\", \"pattern\": "                            \
    "\"^[A-Za-z0-9._-]{1,63}$\"}}, \"settleSeconds\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 3600, "      \
    "\"default\": 10}}}"

typedef plugin_string_t text;
typedef exports_gatehost_check_gate_list_config_error_t errors;

// A text that is not to be freed, of a literal.
#define T(literal) ((text){(uint8_t *)(literal), sizeof(literal) - 1})

// Texts have a length and no end mark, and may hold any byte.
static bool equal(text a, text b) { return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0; }

static void append(text *to, text more) {
    if (more.len == 0) return;
    to->ptr = realloc(to->ptr, to->len + more.len);
    memcpy(to->ptr + to->len, more.ptr, more.len);
    to->len += more.len;
}

// All of them after one another. What is returned to the host is freed by the bindings, so it is always a copy.
#define JOIN(...) join((text[]){__VA_ARGS__}, sizeof((text[]){__VA_ARGS__}) / sizeof(text))
static text join(const text *parts, size_t count) {
    text joined = {0};
    for (size_t i = 0; i < count; i++) append(&joined, parts[i]);
    return joined;
}

static void append_name(text *names, text name) {
    if (names->len > 0) append(names, T(", "));
    append(names, name);
}

// In decimal, with zeros in front up to a width.
static void append_number(text *to, uint64_t number, int width) {
    if (number >= 10 || width > 1) append_number(to, number / 10, width - 1);
    append(to, (text){(uint8_t[]){'0' + number % 10}, 1});
}

static text rfc3339(uint64_t unix_ms) {
    time_t seconds = unix_ms / 1000;
    struct tm utc;
    gmtime_r(&seconds, &utc);
    const int fields[] = {utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec};
    text written = {0};
    for (int i = 0; i < 6; i++) {
        append_number(&written, fields[i], i == 0 ? 4 : 2);
        append(&written, (text){(uint8_t *)&"--T::Z"[i], 1});
    }
    return written;
}

// The config.

typedef struct {
    text *tracks;  // They point into the JSON.
    size_t count;
    uint64_t settle_seconds;
} settings;

static void complain(errors *found, text path, text message) {
    found->ptr = realloc(found->ptr, (found->len + 1) * sizeof *found->ptr);
    found->ptr[found->len++] = (exports_gatehost_check_gate_config_error_t){JOIN(path), JOIN(message)};
}

// A label's value needs no escape in JSON, so a track is compared as it stands in the config.
static bool is_track(text track) {
    for (size_t i = 0; i < track.len; i++) {
        uint8_t c = track.ptr[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                    c == '_' || c == '-';
        if (!fine) return false;
    }
    return track.len >= 1 && track.len <= 63;
}

// A config and its tokens; a token that holds others is followed by them.
typedef struct {
    text json;
    jsmntok_t *tokens;
    int count;
} document;

static text text_of(const document *from, int i) {
    return (text){from->json.ptr + from->tokens[i].start, from->tokens[i].end - from->tokens[i].start};
}

// The token after this one and all that it holds.
static int after(const document *from, int i) {
    int end = from->tokens[i].end;
    do i++;
    while (i < from->count && from->tokens[i].start < end);
    return i;
}

static void read_tracks(const document *from, int list, settings *read, errors *found) {
    int size = from->tokens[list].size;
    if (from->tokens[list].type != JSMN_ARRAY || size == 0) {
        complain(found, T("/tracks"), T("give a list of at least one track"));
        return;
    }
    read->tracks = malloc(size * sizeof *read->tracks);
    for (int n = 0, i = list + 1; n < size; n++, i = after(from, i)) {
        text track = text_of(from, i);
        if (from->tokens[i].type == JSMN_STRING && is_track(track)) {
            read->tracks[read->count++] = track;
        } else {
            text path = JOIN(T("/tracks/"));
            append_number(&path, n, 1);
            complain(found, path, T("give 1 to 63 letters, digits, dots, dashes and underscores"));
            plugin_string_free(&path);
        }
    }
}

// A whole number up to 9999, with nothing but zeros behind a point; 0 for anything else.
static uint64_t whole(text number) {
    uint64_t read = 0;
    size_t i = 0;
    for (; i < number.len && i < 4 && number.ptr[i] >= '0' && number.ptr[i] <= '9'; i++) {
        read = read * 10 + (number.ptr[i] - '0');
    }
    if (i < number.len && number.ptr[i] == '.') {
        do i++;
        while (i < number.len && number.ptr[i] == '0');
    }
    return i == number.len ? read : 0;
}

static void read_seconds(const document *from, int i, settings *read, errors *found) {
    read->settle_seconds = from->tokens[i].type == JSMN_PRIMITIVE ? whole(text_of(from, i)) : 0;
    if (read->settle_seconds < 1 || read->settle_seconds > 3600) {
        complain(found, T("/settleSeconds"), T("give whole seconds from 1 to 3600"));
    }
}

static void read_fields(const document *from, settings *read, errors *found) {
    int tracks = 0, seconds = 0;
    bool others = false;
    for (int i = 1; i < from->count; i = after(from, i + 1)) {
        text key = text_of(from, i);
        if (equal(key, T("tracks"))) {
            tracks = i + 1;
        } else if (equal(key, T("settleSeconds"))) {
            seconds = i + 1;
        } else {
            others = true;
        }
    }
    if (others) complain(found, T(""), T("takes tracks and settleSeconds, and nothing else"));
    // Token 0 is the object itself, and no list.
    read_tracks(from, tracks, read, found);
    if (seconds > 0) read_seconds(from, seconds, read, found);
}

// The config's tracks are to be freed; without errors found there is at least one.
static settings read_config(text json, errors *found) {
    settings read = {.settle_seconds = 10};
    jsmn_parser parser;
    jsmn_init(&parser);
    int count = jsmn_parse(&parser, (const char *)json.ptr, json.len, NULL, 0);
    if (count < 0) count = 0;
    document from = {json, malloc((count + 1) * sizeof(jsmntok_t)), count};
    jsmn_init(&parser);
    jsmn_parse(&parser, (const char *)json.ptr, json.len, from.tokens, count);
    if (count > 0 && from.tokens[0].type == JSMN_OBJECT) {
        read_fields(&from, &read, found);
    } else {
        complain(found, T(""), T("give an object"));
    }
    free(from.tokens);
    return read;
}

// The answers.

static void answer(exports_gatehost_check_gate_verdict_t *ret, uint8_t status, text reason, text message) {
    *ret = (exports_gatehost_check_gate_verdict_t){.status = status, .reason = JOIN(reason), .message = message};
}

static void fail(exports_gatehost_check_gate_fault_t *err, gatehost_check_types_fault_kind_t kind, text reason,
                 text message, uint32_t retry_after_ms) {
    *err = (exports_gatehost_check_gate_fault_t){kind, JOIN(reason), message, {retry_after_ms > 0, retry_after_ms}, {0}};
}

// Whether the pod's own annotation says seconds.
static bool seconds_of(text own, uint64_t *seconds) {
    *seconds = memchr(own.ptr, '.', own.len) ? 0 : whole(own);
    return *seconds >= 1 && *seconds <= 3600;
}

static bool is_wanted(const settings *config, text track) {
    for (size_t i = 0; i < config->count; i++) {
        if (equal(config->tracks[i], track)) return true;
    }
    return false;
}

static void refuse_track(const settings *config, text track, exports_gatehost_check_gate_verdict_t *ret) {
    text wanted = {0};
    for (size_t i = 0; i < config->count; i++) append_name(&wanted, config->tracks[i]);
    answer(ret, GATEHOST_CHECK_TYPES_STATUS_UNMET, T("OtherTrack"),
           JOIN(T("wanted: "), wanted, T("; the pod is on "), track));
    plugin_string_free(&wanted);
}

static void judge_time(text track, uint64_t since, uint64_t seconds, exports_gatehost_check_gate_verdict_t *ret) {
    // Kubernetes cuts times to whole seconds: with one more, the gate opens late rather than early.
    uint64_t due = since + 1000 + seconds * 1000, now = gatehost_check_clock_now_ms();
    text started = rfc3339(since), settled = rfc3339(due);
    text line = JOIN(T("on track "), track, T(", settled at "), settled);
    gatehost_check_log_write(GATEHOST_CHECK_LOG_LEVEL_DEBUG, &line);
    plugin_string_free(&line);
    if (now >= due) {
        answer(ret, GATEHOST_CHECK_TYPES_STATUS_MET, T("Settled"),
               JOIN(T("on track "), track, T("; all containers have run since "), started));
    } else {
        answer(ret, GATEHOST_CHECK_TYPES_STATUS_UNMET, T("Settling"),
               JOIN(T("on track "), track, T("; settled at "), settled, T(" if no container restarts")));
        ret->recheck_after_ms = (plugin_option_u32_t){true, due - now < 3600000 ? due - now : 3600000};
    }
    plugin_string_free(&started);
    plugin_string_free(&settled);
}

static void judge_containers(text track, const gatehost_check_pod_list_container_t *all, uint64_t seconds,
                             exports_gatehost_check_gate_verdict_t *ret) {
    text down = {0}, timeless = {0};
    uint64_t since = 0;
    size_t running = 0;
    for (size_t i = 0; i < all->len; i++) {
        const gatehost_check_pod_container_t *container = &all->ptr[i];
        if (container->role == GATEHOST_CHECK_POD_CONTAINER_ROLE_INIT) continue;
        running++;
        if (container->state != GATEHOST_CHECK_POD_CONTAINER_STATE_RUNNING) append_name(&down, container->name);
        if (!container->started_at_ms.is_some) {
            append_name(&timeless, container->name);
        } else if (container->started_at_ms.val > since) {
            since = container->started_at_ms.val;
        }
    }
    if (running == 0) {
        answer(ret, GATEHOST_CHECK_TYPES_STATUS_UNKNOWN, T("NoContainers"), JOIN(T("kubelet reports no containers")));
    } else if (down.len > 0) {
        answer(ret, GATEHOST_CHECK_TYPES_STATUS_UNMET, T("NotRunning"), JOIN(T("not running: "), down));
    } else if (timeless.len > 0) {
        answer(ret, GATEHOST_CHECK_TYPES_STATUS_UNKNOWN, T("StartUnknown"),
               JOIN(T("no time of the start: "), timeless));
    } else {
        judge_time(track, since, seconds, ret);
    }
    plugin_string_free(&down);
    plugin_string_free(&timeless);
}

// What the world exports. The answer of a function with a result is true for its good side.

void exports_gatehost_check_gate_describe(exports_gatehost_check_gate_description_t *ret) {
    plugin_string_dup(&ret->name, "on-track");
    plugin_string_dup(&ret->version, "1.0.0");
    plugin_string_dup(&ret->help, "True once the pod is on a configured track and its containers have run for the "
                                  "configured time.");
    plugin_string_dup(&ret->config_schema, SCHEMA);
    ret->extra = (plugin_list_tuple2_string_string_t){0};
}

bool exports_gatehost_check_gate_validate(plugin_string_t *config, errors *err) {
    *err = (errors){0};
    settings read = read_config(*config, err);
    free(read.tracks);
    plugin_string_free(config);
    return err->len == 0;
}

bool exports_gatehost_check_gate_evaluate(exports_gatehost_check_gate_borrow_pod_t pod, plugin_string_t *json,
                                          exports_gatehost_check_gate_verdict_t *ret,
                                          exports_gatehost_check_gate_fault_t *err) {
    errors found = {0};
    settings config = read_config(*json, &found);
    text track = {0}, own = {0}, label = T(LABEL), annotation = T(ANNOTATION);
    bool answered = true;
    if (found.len > 0) {
        fail(err, (gatehost_check_types_fault_kind_t){.tag = GATEHOST_CHECK_TYPES_FAULT_KIND_BAD_CONFIG},
             T("ConfigRejected"), JOIN(found.ptr[0].path, T(": "), found.ptr[0].message), 0);
        answered = false;
    } else if (!gatehost_check_pod_method_pod_label(pod, &label, &track)) {
        answer(ret, GATEHOST_CHECK_TYPES_STATUS_UNMET, T("NoTrack"), JOIN(T("the pod has no label " LABEL)));
    } else if (!is_wanted(&config, track)) {
        refuse_track(&config, track, ret);
    } else if (gatehost_check_pod_method_pod_annotation(pod, &annotation, &own) &&
               !seconds_of(own, &config.settle_seconds)) {
        gatehost_check_types_fault_kind_t kind = {.tag = GATEHOST_CHECK_TYPES_FAULT_KIND_OTHER};
        kind.val.other = JOIN(T("BadAnnotation"));
        fail(err, kind, T("BadSettleSeconds"),
             JOIN(T(ANNOTATION ": give whole seconds from 1 to 3600, not "), own), 15000);
        answered = false;
    } else {
        gatehost_check_pod_list_container_t containers;
        gatehost_check_pod_method_pod_containers(pod, &containers);
        judge_containers(track, &containers, config.settle_seconds, ret);
        gatehost_check_pod_list_container_free(&containers);
    }
    plugin_string_free(&track);
    plugin_string_free(&own);
    free(config.tracks);
    exports_gatehost_check_gate_list_config_error_free(&found);
    plugin_string_free(json);
    return answered;
}
