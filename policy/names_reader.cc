#include "policy/names_reader.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "policy/text.h"

namespace deferd {

namespace {

// "example.com: owner" (an Exim lsearch) and "example.com OK" (a Postfix table) name example.com.
absl::string_view FirstWord(absl::string_view line) {
  const absl::string_view word = line.substr(0, line.find_first_of(" \t"));
  const bool kind = absl::StrContains(word, ':') && !absl::EndsWith(word, ":");
  return kind ? word : word.substr(0, word.find(':'));
}

// A login by itself, or KIND:ID of another part of a domain.
absl::StatusOr<Subject> ParseSingle(absl::string_view text) {
  if (!absl::StrContains(text, ':')) return Subject::Narrow(SubjectKind::kLogin, text);
  absl::StatusOr<Subject> subject = Subject::Parse(text);
  if (!subject.ok()) return subject;
  if (subject->kind == SubjectKind::kDomain || subject->kind == SubjectKind::kForward) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(text), " is a domain; list it under domains"));
  }
  return subject;
}

}  // namespace

void NamesReader::ReadTag(const std::string& name, TomlTable* table) {
  auto tag = std::make_shared<Tag>();
  tag->name = name;
  tag->line = table->place().line;
  ReadDomainKey(table, &tag->names.listed.domains);
  ReadLogins(table, &tag->names.listed);
  ReadExcept(table, &tag->names.except);
  tag->names.given = true;
  if (!table->Has("domains") && !table->Has("logins")) {
    reader_->Error(table->place(),
                   absl::StrCat("tag ", Quoted(name), " names nobody; give domains or logins"));
  }
  tag_numbers_[name] = tags_.size();
  tags_.push_back(std::move(tag));
}

Selection NamesReader::Read(TomlTable* table) {
  Selection names;
  names.given = table->Has("domains") || table->Has("logins") || table->Has("tags");
  ReadDomainKey(table, &names.listed.domains);
  ReadLogins(table, &names.listed);
  ReadTags(table, &names);
  ReadExcept(table, &names.except);
  return names;
}

DomainSet NamesReader::ReadDomains(TomlTable* table) {
  DomainSet domains;
  ReadDomainKey(table, &domains);
  return domains;
}

std::vector<NamesReader::Entry> NamesReader::Entries(TomlTable* table, absl::string_view key) {
  std::vector<Entry> entries;
  for (const TomlText& text : table->Strings(key)) {
    if (absl::StartsWith(text.text, "/")) {
      ReadFile(text, &entries);
    } else {
      entries.push_back({text.text, text.place, ""});
    }
  }
  return entries;
}

void NamesReader::ReadFile(const TomlText& path, std::vector<Entry>* entries) {
  if (!absl::c_linear_search(files_, path.text)) files_.push_back(path.text);
  if (!read_file_) {
    reader_->Error(path.place, absl::StrCat(Quoted(path.text),
                                            " is a file, which cannot be read here; list its "
                                            "entries"));
    return;
  }
  absl::StatusOr<std::string> text = read_file_(path.text);
  if (!text.ok()) {
    reader_->Error(path.place,
                   absl::StrCat(text.status().message(), "; make the file, or take it out"));
    return;
  }
  absl::StrAppend(&file_text_, path.text, "\n", *text, "\n");
  int line_number = 0;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    ++line_number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    entries->push_back({std::string(FirstWord(line)), path.place,
                        absl::StrCat(path.text, ":", line_number, ": ")});
  }
}

void NamesReader::Mistake(const Entry& entry, absl::string_view what) {
  reader_->Error(entry.place, absl::StrCat(entry.where, what));
}

void NamesReader::Twice(const Entry& entry) {
  if (entry.where.empty()) {
    Mistake(entry, absl::StrCat(Quoted(entry.text), " is listed twice; take one out"));
  }
}

void NamesReader::ReadDomainKey(TomlTable* table, DomainSet* domains) {
  absl::flat_hash_set<std::string> seen;
  for (const Entry& entry : Entries(table, "domains")) {
    absl::StatusOr<DomainPattern> pattern = DomainPattern::Parse(entry.text);
    if (!pattern.ok()) {
      Mistake(entry, pattern.status().message());
    } else if (!seen.insert(pattern->ToString()).second) {
      Twice(entry);
    } else {
      domains->push_back(*std::move(pattern));
    }
  }
}

void NamesReader::ReadLogins(TomlTable* table, NameList* list) {
  for (const Entry& entry : Entries(table, "logins")) {
    absl::StatusOr<Subject> subject = ParseSingle(entry.text);
    if (!subject.ok()) {
      Mistake(entry, subject.status().message());
    } else if (!list->subjects.insert(*std::move(subject)).second) {
      Twice(entry);
    }
  }
}

// Domains, and whatever has an '@' or a kind.
void NamesReader::ReadExcept(TomlTable* table, NameList* list) {
  for (const Entry& entry : Entries(table, "except")) {
    const bool single =
        !absl::StartsWith(entry.text, "[") && entry.text.find_first_of("@:") != std::string::npos;
    if (single) {
      absl::StatusOr<Subject> subject = ParseSingle(entry.text);
      if (!subject.ok()) {
        Mistake(entry, subject.status().message());
      } else {
        list->subjects.insert(*std::move(subject));
      }
      continue;
    }
    absl::StatusOr<DomainPattern> pattern = DomainPattern::Parse(entry.text);
    if (!pattern.ok()) {
      Mistake(entry, pattern.status().message());
    } else {
      list->domains.push_back(*std::move(pattern));
    }
  }
}

void NamesReader::ReadTags(TomlTable* table, Selection* names) {
  for (const TomlText& name : table->Strings("tags")) {
    const auto found = tag_numbers_.find(name.text);
    if (found != tag_numbers_.end()) {
      names->tags.push_back(tags_[found->second]);
      continue;
    }
    const std::string known = absl::StrJoin(
        tags_, ", ", [](std::string* out, const auto& tag) { absl::StrAppend(out, tag->name); });
    reader_->Error(name.place,
                   absl::StrCat("there is no tag ", Quoted(name.text), "; ",
                                known.empty() ? absl::StrCat("write [tag.", name.text, "]")
                                              : absl::StrCat("the tags are ", known)));
  }
}

}  // namespace deferd
