// Whom a rule, a tag or an exemption is for: domains, single subjects, and those left out of them.
//
// Plain values; a look-up takes a few hash probes however long the lists are. NameIndex finds those
// of very many lists that may name a subject.

#ifndef DEFERD_POLICY_NAMES_H_
#define DEFERD_POLICY_NAMES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "policy/domain_name.h"
#include "policy/subject.h"

namespace deferd {

struct Tag;

// Domains, and subjects by themselves.
struct NameList {
  DomainSet domains;
  absl::flat_hash_set<Subject> subjects;

  bool empty() const { return domains.empty() && subjects.empty(); }
  size_t size() const { return domains.size() + subjects.size(); }
  // `within`: the domain that the subject is charged inside of, where its id may not say.
  bool Matches(const Subject& subject, absl::string_view within) const;
  friend bool operator==(const NameList&, const NameList&) = default;
};

struct Selection {
  NameList listed;
  std::vector<std::shared_ptr<const Tag>> tags;
  NameList except;
  // A list or tag was given, if only an empty one (an empty file): then whom it does not name is
  // not meant. Without any list everybody is.
  bool given = false;

  bool everybody() const { return !given && listed.empty() && tags.empty(); }
  bool Matches(const Subject& subject, absl::string_view within = "") const;
  // Whether a list or tag names it.
  bool Lists(const Subject& subject, absl::string_view within) const;
  friend bool operator==(const Selection& a, const Selection& b);  // the tags by what they name
};

// [tag.NAME]
struct Tag {
  std::string name;
  Selection names;
  int line = 0;  // in the file
};

// Which of numbered Selections may match a subject. Those that name a few are found by hash; those
// that name everybody or very many are candidates for all, since they answer quickly by themselves.
class NameIndex {
 public:
  // Numbers in ascending order. Whether it is found by what it names, and by nothing else.
  bool Add(uint32_t number, const Selection& names);

  // Candidates, ascending, each once.
  using Numbers = absl::InlinedVector<uint32_t, 16>;
  Numbers Candidates(const Subject& subject, absl::string_view within) const;

 private:
  static constexpr size_t kFew = 16;

  using Some = absl::InlinedVector<uint32_t, 2>;
  struct Named {
    Some itself;
    Some below;
  };
  void AddList(uint32_t number, const NameList& list);
  void Find(absl::string_view domain, Numbers* found) const;

  absl::flat_hash_map<std::string, Named> by_domain_;
  absl::flat_hash_map<Subject, Some> by_subject_;
  Some general_;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_NAMES_H_
