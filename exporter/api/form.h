// Percent-encoded parameters: the query of a URL, and the body of a form.
//
// Pure. What is malformed is refused whole, never read in part.

#ifndef DEFERD_EXPORTER_API_FORM_H_
#define DEFERD_EXPORTER_API_FORM_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace deferd {

// RFC 3986; in a query '+' is a space. nullopt: malformed, or NUL.
std::optional<std::string> Decoded(absl::string_view text, bool query);

class Form {
 public:
  // "a=1&b=2". nullopt if it is malformed, or one name is given more than once unless `lists`.
  static std::optional<Form> Parse(absl::string_view text, bool lists = false);

  // "" if it is absent.
  std::string Get(absl::string_view name) const;
  bool Has(absl::string_view name, absl::string_view value) const;
  // All values of the name.
  std::vector<std::string> All(absl::string_view name) const;

  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_FORM_H_
