// Which files hold Exim's configuration, and where in them its parts are.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/ctl/setup_blocks.h"
#include "limiter/ctl/setup_exim.h"

namespace deferd {

namespace {

constexpr int kDeepest = 16;         // macros in macros, files in files
constexpr size_t kMostFiles = 1000;  // with what they include

bool IsMacroName(absl::string_view text) {
  return !text.empty() && absl::ascii_isupper(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
         });
}

}  // namespace

// Files that hold the configuration's text, before what they include; the first takes the main
// options.
std::vector<std::string> EximSetup::OwnFiles() const {
  switch (found_.layout) {
    case EximFound::Layout::kDebianSplit: {
      std::vector<std::string> files = FilesLike(found_.folder + "/conf.d/*/*");
      files.erase(std::remove_if(files.begin(), files.end(),
                                 [](const std::string& path) {
                                   return absl::StrContains(path, ".dpkg-") ||
                                          absl::EndsWith(path, "~");
                                 }),
                  files.end());
      return files;
    }
    case EximFound::Layout::kDebianOneFile:
      return {found_.folder + "/exim4.conf.template"};
    case EximFound::Layout::kPlain:
      break;
  }
  return {found_.config};
}

// The file that an .include names: macros are texts to replace, a relative name is below the folder
// of the configuration.
std::string EximSetup::Included(absl::string_view line) const {
  line = absl::StripAsciiWhitespace(line);
  if (!absl::ConsumePrefix(&line, ".include_if_exists") &&
      !absl::ConsumePrefix(&line, ".include")) {
    return "";
  }
  std::string path(absl::StripAsciiWhitespace(line));
  if (path.size() > 1 && path.front() == '"' && path.back() == '"') {
    path = path.substr(1, path.size() - 2);
  }
  for (int i = 0; i < kDeepest; ++i) {  // a macro's value may have a macro
    const std::string before = path;
    for (const auto& macro : macros_) {
      path = absl::StrReplaceAll(path, {{macro.first, macro.second}});
    }
    if (path == before) break;
  }
  if (path.empty() || path[0] == '/') return path;
  return absl::StrCat(FolderOfPath(found_.config), "/", path);
}

std::vector<std::string> EximSetup::Files() {
  std::vector<std::string> files = OwnFiles();
  for (size_t i = 0; i < files.size() && files.size() < kMostFiles; ++i) {
    for (absl::string_view line : absl::StrSplit(FileText(files[i]).value_or(""), '\n')) {
      // NAME = value, before any section.
      const size_t equals = line.find('=');
      if (equals != absl::string_view::npos &&
          IsMacroName(absl::StripAsciiWhitespace(line.substr(0, equals)))) {
        macros_.emplace(absl::StripAsciiWhitespace(line.substr(0, equals)),
                        absl::StripAsciiWhitespace(line.substr(equals + 1)));
      }
      const std::string path = Included(line);
      if (!path.empty() && std::find(files.begin(), files.end(), path) == files.end()) {
        files.push_back(path);
      }
    }
  }
  return files;
}

// Whether the file, or one that it includes, begins a section.
bool EximSetup::HasSection(const std::string& path, int depth) const {
  for (absl::string_view line : absl::StrSplit(FileText(path).value_or(""), '\n')) {
    if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), "begin ")) return true;
    const std::string included = Included(line);
    if (!included.empty() && depth < kDeepest && HasSection(included, depth + 1)) return true;
  }
  return false;
}

// The line in front of which the main options end: that of the first section, or that of the
// .ifdef around it, since what follows may be left out.
int EximSetup::EndOfMain(const BlockText& file) const {
  int depth = 0, outermost = 0;
  for (int i = 0; i < file.size(); ++i) {
    const absl::string_view line = absl::StripAsciiWhitespace(file.line(i));
    const std::string included = Included(line);
    if (absl::StartsWith(line, "begin ") || (!included.empty() && HasSection(included, 0))) {
      return depth > 0 ? outermost : file.BlockBegin(i);
    }
    if (absl::StartsWith(line, ".if")) {
      if (depth++ == 0) outermost = i;
    } else if (absl::StartsWith(line, ".endif")) {
      depth = std::max(depth - 1, 0);
    }
  }
  return file.size();
}

}  // namespace deferd
