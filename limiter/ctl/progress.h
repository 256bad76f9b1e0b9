// The progress bar of everything that may take seconds.
//
// On a terminal only, on standard error, so that output that is piped or kept stays as it is. It
// appears after a second of work, and is wiped at the end.

#ifndef DEFERD_LIMITER_CTL_PROGRESS_H_
#define DEFERD_LIMITER_CTL_PROGRESS_H_

#include <functional>
#include <string>

namespace deferd {

// Takes what is done of the whole, 0 to 1. Empty where there is no terminal.
std::function<void(double)> ProgressBar(const std::string& what = "");

// The bar itself, 80 columns at most.
std::string ProgressLine(const std::string& what, int percent);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_PROGRESS_H_
