// The words of notices, by language. To add a language: one table in catalogue.cc, one of
// translations as german.cc, and its name in limiter/config/notice_config.cc. Pure.

#ifndef DEFERD_EXPORTER_NOTICE_CATALOGUE_H_
#define DEFERD_EXPORTER_NOTICE_CATALOGUE_H_

#include <array>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "policy/notice_kind.h"

namespace deferd {

// A sentence that other parts write in English (policy/fault.h): causes, remedies, answers.
struct Translation {
  absl::string_view english;
  absl::string_view text;
};

struct Catalogue {
  absl::string_view language;                          // "en"
  std::array<absl::string_view, kNoticeKinds> titles;  // "{subject}: mail stopped"
  absl::string_view until, limit, who, what, fault, remedy, reason, server, where, held, answer;
  absl::string_view case_id;
  absl::string_view for_ever;     // of a block without an end
  absl::string_view our_people;   // to the owner, in place of a person's name
  absl::string_view page;         // the owner's page
  absl::string_view limit_text;   // "{bad} of {of} deliveries failed or were deferred ({percent}%)"
  absl::string_view count_text;   // of a rule without a share: "{bad} {counted}; ..."
  absl::string_view more;         // "and {count} more of the same kind"
  absl::string_view storm_title;  // "{count} notices"
  absl::string_view dropped;      // "and {count} more, not listed"
  absl::string_view not_known;
  absl::string_view sent_of;  // "{name}: {bad} of {sent} failed"
  absl::string_view footer;   // whom to ask
  // Of the digest.
  std::array<absl::string_view, kNoticeKinds>
      kinds;                                   // what of each kind is listed under: "Stopped"
  absl::string_view top;                       // most failed
  absl::string_view top_text;                  // "{subject}: {bad} of {sent}"
  absl::string_view classes;                   // answers
  absl::string_view class_text;                // "{count} {answer} (a week before: {before})"
  absl::string_view held_text;                 // "{count} messages, the oldest since {since}"
  absl::string_view more_names;                // "{names} and {count} more"
  absl::Span<const Translation> translations;  // empty: the English itself
};

// English if there is no such language.
const Catalogue& CatalogueOf(absl::string_view language);
absl::Span<const Catalogue> Catalogues();

// The sentence in this language, or as it is if nobody has translated it.
absl::string_view Translated(const Catalogue& words, absl::string_view english);

absl::Span<const Translation> GermanTexts();  // german.cc

}  // namespace deferd

#endif  // DEFERD_EXPORTER_NOTICE_CATALOGUE_H_
