// SPDX-License-Identifier: Apache-2.0 OR MIT
// What Verilator's library calls when an assertion fails. Its own versions end the process; these
// remember the words, so that the caller can say which cycle and which seed it was.
#include "shim.h"
#include "verilated.h"

#include <cstdio>
#include <string>

namespace {
thread_local std::string failure;
thread_local std::string handed_out;
}  // namespace

// The first one counts: what follows is usually its consequence.
void esnic_rtl_note(const char *file, int line, const char *hier, const char *what) {
    if (!failure.empty()) return;
    failure = std::string(what) + " at " + (file ? file : "?") + ":" + std::to_string(line);
    if (hier && *hier) failure += std::string(" in ") + hier;
}

bool esnic_rtl_failed() { return !failure.empty(); }

extern "C" const char *esnic_rtl_failure() {
    if (failure.empty()) return nullptr;
    handed_out.swap(failure);
    failure.clear();
    return handed_out.c_str();
}

void vl_stop(const char *file, int line, const char *hier) {
    esnic_rtl_note(file, line, hier, "an assertion failed");
}

void vl_fatal(const char *file, int line, const char *hier, const char *what) {
    esnic_rtl_note(file, line, hier, what);
}

void vl_finish(const char *file, int line, const char *hier) {
    esnic_rtl_note(file, line, hier, "$finish");
}
