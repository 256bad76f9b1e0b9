// The ACLs of an Exim, out of its effective configuration: Exim's specification, chapter 44.
//
// Pure. An ACL may stand in the configuration, in a file that an option names, or in the option
// itself.

#ifndef DEFERD_LIMITER_CTL_EXIM_ACL_H_
#define DEFERD_LIMITER_CTL_EXIM_ACL_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace deferd {

struct EximConfig {
  std::string text;                               // of `exim -bP config`
  std::map<std::string, std::string> files;       // ACLs in files, by path
  std::map<std::string, std::string> unreadable;  // likewise, and why
};

struct EximStatement {
  std::string verb;
  std::vector<std::string> items;  // conditions and modifiers, as written
};
using EximAcl = std::vector<EximStatement>;

struct EximAcls {
  std::map<std::string, std::string, std::less<>> options;  // acl_*, by name
  std::map<std::string, EximAcl, std::less<>> acls;  // by name; else by the option's whole value
};

EximAcls ReadEximAcls(const EximConfig& config);

// The files that hold ACLs of `text`.
std::vector<std::string> EximAclFiles(absl::string_view text);

// Of "name = value", perhaps with a '!' before it.
absl::string_view ItemName(absl::string_view item);
absl::string_view ItemValue(absl::string_view item);
bool IsModifier(absl::string_view name);
bool IsAclVerb(absl::string_view word);

// What a statement ends its ACL for, in words; empty: it goes on for mail with a login.
std::string EndsAclFor(const EximStatement& statement);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_EXIM_ACL_H_
