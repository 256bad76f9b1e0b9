#include "limiter/ctl/progress.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace deferd {

namespace {

constexpr int kBarWidth = 50;

class Bar {
 public:
  explicit Bar(std::string what) : what_(std::move(what)) {}
  ~Bar() {
    if (shown_) std::fprintf(stderr, "\r\033[K");
  }

  void Show(double done) {
    if (std::chrono::steady_clock::now() - begun_ < std::chrono::seconds(1)) return;
    const int percent = std::clamp(static_cast<int>(done * 100), 0, 100);
    if (percent == last_) return;
    last_ = percent;
    shown_ = percent < 100;
    std::fprintf(stderr, "\r%s", shown_ ? ProgressLine(what_, percent).c_str() : "\033[K");
  }

 private:
  const std::string what_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  int last_ = -1;
  bool shown_ = false;
};

}  // namespace

std::string ProgressLine(const std::string& what, int percent) {
  const int filled = percent * kBarWidth / 100;
  return absl::StrFormat("%s%s[%-*s] %3d%%", what, what.empty() ? "" : " ", kBarWidth,
                         std::string(static_cast<size_t>(filled), '#'), percent);
}

std::function<void(double)> ProgressBar(const std::string& what) {
  if (isatty(STDERR_FILENO) == 0) return {};
  auto bar = std::make_shared<Bar>(what);
  return [bar](double done) { bar->Show(done); };
}

}  // namespace deferd
