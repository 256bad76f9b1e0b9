// Every key of the policy file with its text in the manual.
//
// The references in deploy/doc are generated from this table and from limiter/config/config_keys.h;
// the test `manual` compares both with the keys that the readers accept. Constants; safe from any
// thread.

#ifndef DEFERD_POLICY_POLICY_KEYS_H_
#define DEFERD_POLICY_POLICY_KEYS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace deferd {

struct TomlKeyInfo {
  absl::string_view table;  // "[rule.NAME]"; empty: the file's top level
  absl::string_view key;
  absl::string_view type;
  absl::string_view fallback;  // the default, as Markdown; empty: none
  absl::string_view help;      // Markdown
};

// The default as TOML; empty if there is none or it depends on something.
std::string LiteralDefault(const TomlKeyInfo& info);

// In the order of the reference.
absl::Span<const TomlKeyInfo> PolicyKeys();

}  // namespace deferd

#endif  // DEFERD_POLICY_POLICY_KEYS_H_
