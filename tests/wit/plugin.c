// A check in C, as small as it gets: True once the pod carries the annotation that is its whole config, a JSON string.
#include <stdlib.h>

#include "plugin.h"

// What is returned is freed by the bindings, so every string is a copy of its own.
void exports_gatehost_check_gate_describe(exports_gatehost_check_gate_description_t *ret) {
    plugin_string_dup(&ret->name, "approved");
    plugin_string_dup(&ret->version, "1.0.0");
    plugin_string_dup(&ret->help, "True once somebody approved.");
    plugin_string_dup(&ret->config_schema, "{\"type\": \"string\", \"minLength\": 1}");
    ret->extra = (plugin_list_tuple2_string_string_t){0};
}

// A JSON string that needs no unescaping; true where that is what the config is.
static bool key_of(const plugin_string_t *config, plugin_string_t *key) {
    if (config->len < 3 || config->ptr[0] != '"' || config->ptr[config->len - 1] != '"') return false;
    *key = (plugin_string_t){config->ptr + 1, config->len - 2};
    return true;
}

bool exports_gatehost_check_gate_validate(plugin_string_t *config,
                                          exports_gatehost_check_gate_list_config_error_t *err) {
    plugin_string_t key;
    bool fine = key_of(config, &key);
    if (!fine) {
        exports_gatehost_check_gate_config_error_t *error = malloc(sizeof *error);
        plugin_string_dup(&error->path, "");
        plugin_string_dup(&error->message, "give the annotation's key, as a string");
        *err = (exports_gatehost_check_gate_list_config_error_t){error, 1};
    }
    plugin_string_free(config);
    return fine;
}

bool exports_gatehost_check_gate_evaluate(exports_gatehost_check_gate_borrow_pod_t pod, plugin_string_t *config,
                                          exports_gatehost_check_gate_verdict_t *ret,
                                          exports_gatehost_check_gate_fault_t *err) {
    plugin_string_t key, value;
    if (!key_of(config, &key)) {
        *err = (exports_gatehost_check_gate_fault_t){.kind = {.tag = GATEHOST_CHECK_TYPES_FAULT_KIND_BAD_CONFIG}};
        plugin_string_dup(&err->reason, "NoKey");
        plugin_string_dup(&err->message, "the config is no annotation's key");
        plugin_string_free(config);
        return false;
    }
    bool found = gatehost_check_pod_method_pod_annotation(pod, &key, &value);
    if (found) plugin_string_free(&value);
    *ret = (exports_gatehost_check_gate_verdict_t){
        .status = found ? GATEHOST_CHECK_TYPES_STATUS_MET : GATEHOST_CHECK_TYPES_STATUS_UNMET};
    plugin_string_dup(&ret->reason, found ? "Approved" : "NotApproved");
    plugin_string_dup(&ret->message, "");
    plugin_string_free(config);
    return true;
}
