// The words of notices, by language. To add a language: one table in catalogue.cc, and its name in
// limiter/config/notice_config.cc. Pure.

#ifndef DEFERD_EXPORTER_NOTICE_CATALOGUE_H_
#define DEFERD_EXPORTER_NOTICE_CATALOGUE_H_

#include <array>

#include "absl/strings/string_view.h"
#include "policy/fault.h"
#include "policy/notice_kind.h"

namespace deferd {

// What is said of a trouble, where the English words of fault.h do not do; both may be empty.
struct TroubleWords {
  absl::string_view fault;
  absl::string_view remedy;
};

struct Catalogue {
  absl::string_view language;                          // "en"
  std::array<absl::string_view, kNoticeKinds> titles;  // "{subject}: mail stopped"
  absl::string_view until, limit, who, what, fault, remedy, reason, server, where, held, answer;
  absl::string_view limit_text;   // "{bad} of {of} deliveries failed or were deferred ({percent}%)"
  absl::string_view count_text;   // of a rule without a share: "{bad} {counted}; ..."
  absl::string_view more;         // "and {count} more of the same kind"
  absl::string_view storm_title;  // "{count} notices"
  absl::string_view dropped;      // "and {count} more, not listed"
  absl::string_view not_known;
  absl::string_view sent_of;  // "{name}: {bad} of {sent} failed"
  absl::string_view footer;   // whom to ask
  std::array<TroubleWords, kTroubles> troubles;
};

// English if there is no such language.
const Catalogue& CatalogueOf(absl::string_view language);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_NOTICE_CATALOGUE_H_
