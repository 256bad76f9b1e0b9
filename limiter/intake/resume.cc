#include "limiter/intake/resume.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "limiter/intake/stamp.h"

namespace deferd {
namespace {

using Files = std::vector<std::unique_ptr<TailedFile>>;

std::pair<std::string, std::string> Split(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

std::unique_ptr<TailedFile> OpenOrNull(const std::string& path) {
  auto file = TailedFile::Open(path);
  return file.ok() ? *std::move(file) : nullptr;
}

// Whether one of the two can be a copy of the other, made while the original was growing.
bool BeginAlike(const std::string& a, const std::string& b) {
  const size_t n = std::min(a.size(), b.size());
  return n > 0 && a.compare(0, n, b, 0, n) == 0;
}

bool Holds(const Files& files, FileId id) {
  return std::any_of(files.begin(), files.end(), [id](const auto& f) { return f->id() == id; });
}

// The stamp of the first line that has one, as UTC: files of one log have one zone.
absl::Time FirstStamp(const std::string& path) {
  constexpr int kLines = 3;
  std::unique_ptr<TailedFile> file = OpenOrNull(path);
  if (file == nullptr) return absl::InfinitePast();
  const std::string head = file->Head();
  absl::string_view text = head;
  StampReader stamps(absl::UTCTimeZone());
  for (int line = 0; line < kLines && !text.empty(); ++line) {
    std::optional<absl::Time> stamp = stamps.TakeExim(&text);
    if (!stamp.has_value()) stamp = stamps.TakeSyslog(&text);
    if (stamp.has_value()) return *stamp;
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  return absl::InfinitePast();
}

// Sorts the files of one second: [begin, end).
void OrderWithinSecond(std::vector<Sibling>::iterator begin, std::vector<Sibling>::iterator end) {
  if (std::all_of(begin, end, [](const Sibling& one) { return one.fraction != 0; })) {
    std::stable_sort(begin, end,
                     [](const Sibling& a, const Sibling& b) { return a.fraction < b.fraction; });
    return;
  }
  std::vector<std::pair<absl::Time, Sibling>> stamped;
  for (auto it = begin; it != end; ++it) stamped.emplace_back(FirstStamp(it->path), *it);
  std::stable_sort(stamped.begin(), stamped.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [stamp, sibling] : stamped) *begin++ = std::move(sibling);
}

// Whether rotation gives larger numbers to younger files, judged by the times of `siblings`.
bool NumbersGrow(const std::vector<Sibling>& siblings) {
  int grow = 0;
  const Sibling* last = nullptr;
  for (const Sibling& one : siblings) {
    if (!one.rotated || !one.rotated->numbered) continue;
    if (last != nullptr && last->modified != one.modified) {
      grow += one.rotated->number < last->rotated->number ? 1 : -1;  // they are negative
    }
    last = &one;
  }
  return grow > 0;
}

void OrderByAge(std::vector<Sibling>* siblings) {
  std::stable_sort(siblings->begin(), siblings->end(),
                   [](const Sibling& a, const Sibling& b) { return a.modified < b.modified; });
  const bool grow = NumbersGrow(*siblings);
  for (auto begin = siblings->begin(); begin != siblings->end();) {
    const auto end = std::find_if(begin, siblings->end(), [&](const Sibling& one) {
      return one.modified != begin->modified;
    });
    if (end - begin > 1) {
      std::sort(begin, end, [grow](const Sibling& a, const Sibling& b) {
        if (a.rotated != b.rotated) {
          const bool numbers = a.rotated && b.rotated && a.rotated->numbered && b.rotated->numbered;
          return grow && numbers ? b.rotated < a.rotated : a.rotated < b.rotated;
        }
        return a.path < b.path;
      });
      OrderWithinSecond(begin, end);
    }
    begin = end;
  }
}

class Search {
 public:
  explicit Search(const std::string& path) : path_(path), siblings_(SiblingsOf(path)) {
    if (auto current = OpenOrNull(path)) at_path_ = current->id();
  }

  Resumed FindAmongRotated(const FilePosition& position) {
    std::unique_ptr<TailedFile> found = Find(position, /*also_at_path=*/false);
    if (found != nullptr) {
      found_.files.push_back(std::move(found));
    } else if (!found_.unreadable.empty()) {
      found_.unfound.push_back(position);
    } else {
      found_.gaps = 1;
    }
    return std::move(found_);
  }

  Resumed FindAgain(const LogPosition& position, bool read_rotated_first) {
    const TailedFile* newest_read = nullptr;
    bool lost = false;
    bool empty_lost = false;
    bool any_read = false;
    for (const FilePosition& file : position.files) {
      any_read |= file.offset > 0;
      std::unique_ptr<TailedFile> found = Find(file, /*also_at_path=*/true);
      if (found == nullptr) {
        if (file.offset > 0 && at_path_ && !found_.unreadable.empty()) {
          found_.unfound.push_back(file);
          continue;
        }
        (file.offset > 0 ? lost : empty_lost) = true;
        continue;
      }
      if (file.offset > 0) newest_read = found.get();
      found_.files.push_back(std::move(found));
    }
    if (lost && !at_path_) return Undecided(position);
    std::optional<Files> unseen;
    if (newest_read == nullptr ? !any_read && read_rotated_first : newest_read->id() != at_path_) {
      unseen = Unseen(newest_read);
    }
    // A file from which nothing was read is known by its inode only, which its compressed form
    // lacks.
    found_.gaps = lost || (empty_lost && (!unseen || unseen->empty())) ? 1 : 0;
    if (newest_read == nullptr && !any_read && !read_rotated_first && HasRotated()) found_.gaps = 1;
    if (newest_read == nullptr && !unseen) KeepYoungest();
    if (unseen_unreadable_) ++found_.gaps;
    if (unseen) Insert(*std::move(unseen), newest_read);
    PutCurrentLast();
    return std::move(found_);
  }

  Resumed BeginWithRotated() {
    std::optional<Files> rotated = Unseen(nullptr);
    if (rotated && !rotated->empty()) found_.files.push_back(std::move(rotated->back()));
    PutCurrentLast();
    return std::move(found_);
  }

 private:
  Resumed Undecided(const LogPosition& position) {
    Resumed undecided;
    undecided.undecided = true;
    undecided.keep = position.files;
    // The file found is among them and is younger than the rotated files that existed before.
    if (!found_.files.empty()) return undecided;
    KeepYoungest();
    if (!found_.files.empty()) {
      undecided.keep.insert(undecided.keep.begin(), found_.files.front()->position());
    }
    return undecided;
  }

  bool HasRotated() const {
    return std::any_of(siblings_.begin(), siblings_.end(),
                       [](const Sibling& s) { return s.rotated.has_value(); });
  }

  // By inode, otherwise by content: plain and younger files first, the path last, because that file
  // will grow and should be recognised on its own.
  std::unique_ptr<TailedFile> Find(const FilePosition& position, bool also_at_path) {
    const FileId id = {.device = static_cast<dev_t>(position.device),
                       .inode = static_cast<ino_t>(position.inode)};
    std::vector<std::string> candidates;
    if (also_at_path && at_path_ == id) candidates.push_back(path_);
    for (const Sibling& sibling : siblings_) {
      if (sibling.id == id) candidates.push_back(sibling.path);
    }
    if (position.offset > 0) {
      for (auto it = siblings_.rbegin(); it != siblings_.rend(); ++it) {
        if (!absl::EndsWith(it->path, ".gz")) candidates.push_back(it->path);
      }
      for (auto it = siblings_.rbegin(); it != siblings_.rend(); ++it) {
        if (absl::EndsWith(it->path, ".gz")) candidates.push_back(it->path);
      }
      if (also_at_path) candidates.push_back(path_);
    }
    for (const std::string& path : candidates) {
      auto opened = TailedFile::Open(path);
      if (!opened.ok() && !absl::IsNotFound(opened.status()) && path != path_) {
        found_.unreadable = path;
      }
      std::unique_ptr<TailedFile> file = opened.ok() ? *std::move(opened) : nullptr;
      if (file == nullptr || Holds(found_.files, file->id())) continue;
      if (position.offset == 0 && (!(file->id() == id) || IsCopy(*file))) continue;
      if (file->GoTo(position)) return file;
    }
    return nullptr;
  }

  // None of the files read still exists. Starting after the youngest rotated file, without reading
  // it, lets the next start recognise new files.
  void KeepYoungest() {
    for (auto it = siblings_.rbegin(); it != siblings_.rend(); ++it) {
      if (!it->rotated || Holds(found_.files, it->id)) continue;
      std::unique_ptr<TailedFile> file = OpenOrNull(it->path);
      if (file == nullptr || !file->SkipToEnd()) continue;
      if (file->position().offset == 0) continue;
      found_.files.insert(found_.files.begin(), std::move(file));
      return;
    }
  }

  // Whether it begins like a file that was found.
  bool IsCopy(const TailedFile& file) const {
    const std::string head = file.Head();
    return std::any_of(found_.files.begin(), found_.files.end(),
                       [&](const auto& other) { return BeginAlike(head, other->Head()); });
  }

  std::optional<Files> Unseen(const TailedFile* known) {
    std::vector<const TailedFile*> read;
    for (const auto& file : found_.files) read.push_back(file.get());
    return UnseenRotated(path_, siblings_, known, read, &unseen_unreadable_);
  }

  // After `newest_read`, among the files from which nothing was read, by age.
  void Insert(Files unseen, const TailedFile* newest_read) {
    size_t at = 0;
    while (newest_read != nullptr && found_.files[at++].get() != newest_read) {
    }
    for (auto& file : unseen) found_.files.push_back(std::move(file));
    std::stable_sort(found_.files.begin() + static_cast<std::ptrdiff_t>(at), found_.files.end(),
                     [this](const auto& a, const auto& b) { return Age(*a) < Age(*b); });
  }

  std::ptrdiff_t Age(const TailedFile& file) const {
    const auto is_it = [&](const Sibling& sibling) { return sibling.id == file.id(); };
    return std::find_if(siblings_.begin(), siblings_.end(), is_it) - siblings_.begin();
  }

  void PutCurrentLast() {
    if (!at_path_) return;
    auto it = std::find_if(found_.files.begin(), found_.files.end(),
                           [this](const auto& file) { return file->id() == *at_path_; });
    if (it == found_.files.end()) {
      std::unique_ptr<TailedFile> current = OpenOrNull(path_);
      if (current == nullptr || !(current->id() == *at_path_)) return;  // changed just now
      found_.files.push_back(std::move(current));
    } else {
      std::rotate(it, it + 1, found_.files.end());
    }
    found_.has_current = true;
  }

  const std::string path_;
  const std::vector<Sibling> siblings_;
  std::optional<FileId> at_path_;
  bool unseen_unreadable_ = false;
  Resumed found_;
};

}  // namespace

std::vector<Sibling> SiblingsOf(const std::string& path) {
  const auto [folder, base] = Split(path);
  std::vector<Sibling> siblings;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error), end;
  for (; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.size() <= base.size() || !absl::StartsWith(name, base)) continue;
    Sibling sibling = {.path = folder + "/" + name, .rotated = ParseRotatedName(base, name)};
    struct stat info = {};
    if (stat(sibling.path.c_str(), &info) != 0) {
      if (errno == ENOENT) continue;           // deleted meanwhile
      siblings.push_back(std::move(sibling));  // opening it will fail, and report that
      continue;
    }
    if (!S_ISREG(info.st_mode)) continue;
    sibling.id = {.device = info.st_dev, .inode = info.st_ino};
    sibling.modified = info.st_mtim.tv_sec;
    sibling.fraction = info.st_mtim.tv_nsec;
    siblings.push_back(std::move(sibling));
  }
  OrderByAge(&siblings);
  return siblings;
}

std::optional<Files> UnseenRotated(const std::string& path, const std::vector<Sibling>& siblings,
                                   const TailedFile* known,
                                   const std::vector<const TailedFile*>& read, bool* unreadable) {
  auto it = siblings.begin();
  if (known != nullptr) {
    it = std::find_if(siblings.begin(), siblings.end(),
                      [known](const Sibling& sibling) { return sibling.id == known->id(); });
    if (it == siblings.end()) return std::nullopt;
    ++it;
  }
  std::vector<std::string> heads;
  for (const TailedFile* file : read) heads.push_back(file->Head());
  const std::unique_ptr<TailedFile> current = OpenOrNull(path);
  if (current != nullptr) heads.push_back(current->Head());
  Files unseen;
  for (; it != siblings.end(); ++it) {
    if (!it->rotated) continue;
    auto opened = TailedFile::Open(it->path);
    if (!opened.ok()) {
      *unreadable = *unreadable || !absl::IsNotFound(opened.status());
      continue;
    }
    std::unique_ptr<TailedFile> file = *std::move(opened);
    if (std::any_of(read.begin(), read.end(),
                    [&](const TailedFile* other) { return other->id() == file->id(); })) {
      continue;
    }
    std::string head = file->Head();
    // Empty, or a copy still being made: the original cannot be determined yet. While no file is at
    // the path, nobody makes a copy of it, but a writer may still use the file that was there.
    if (head.empty() && current != nullptr) continue;
    // Compressing has only begun; any file may be the original.
    const bool begun = head.empty() || (!file->packed() && head.size() < kGzipMagic.size());
    if (begun && absl::EndsWith(it->path, ".gz")) continue;
    if (std::any_of(heads.begin(), heads.end(),
                    [&](const std::string& other) { return BeginAlike(head, other); })) {
      continue;
    }
    heads.push_back(std::move(head));
    unseen.push_back(std::move(file));
  }
  return unseen;
}

Resumed FindAgain(const std::string& path, const LogPosition& position, bool read_rotated_first) {
  return Search(path).FindAgain(position, read_rotated_first);
}

Resumed FindAmongRotated(const std::string& path, const FilePosition& position) {
  return Search(path).FindAmongRotated(position);
}

Resumed BeginWithRotated(const std::string& path) { return Search(path).BeginWithRotated(); }

}  // namespace deferd
