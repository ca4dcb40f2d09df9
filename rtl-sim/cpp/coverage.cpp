// SPDX-License-Identifier: Apache-2.0 OR MIT
// What was covered, summed over all devices of this process: each has counters of its own, which go away
// with it. At the end of the process the sum goes to a file in the directory ESNIC_RTL_COVERAGE.
#include "verilated.h"
#include "verilated_cov.h"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <string>

namespace {

struct Sum {
    std::mutex mutex;
    std::map<std::string, std::uint64_t> points;

    static std::string path(const char *end) {
        const char *dir = std::getenv("ESNIC_RTL_COVERAGE");
        return std::string(dir ? dir : ".") + "/" + std::to_string(getpid()) + end;
    }

    // A line of such a file is C 'point' count.
    void add(const std::string &file) {
        std::ifstream in(file);
        std::string line;
        while (std::getline(in, line)) {
            const auto end = line.rfind('\'');
            if (line.compare(0, 3, "C '") != 0 || end <= 3) continue;
            points[line.substr(3, end - 3)] += std::strtoull(line.c_str() + end + 1, nullptr, 10);
        }
    }

    ~Sum() {
        if (points.empty()) return;
        std::ofstream out(path(".dat"));
        for (const auto &[point, count] : points) out << "C '" << point << "' " << count << "\n";
    }
};

Sum sum;

}  // namespace

void esnic_rtl_cover(VerilatedContext &context) {
    const std::lock_guard<std::mutex> guard(sum.mutex);
    const std::string part = Sum::path(".part");
    context.coveragep()->write(part.c_str());
    sum.add(part);
    std::remove(part.c_str());
}
