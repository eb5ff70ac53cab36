// Anonymous memory in huge pages where the kernel grants them: random access to a mapped file can miss the TLB for
// every 4 KiB.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace graphkit {

class ResidentPages {
  public:
    explicit ResidentPages(std::size_t bytes) : bytes_(bytes > 0 ? bytes : 1) {
        data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (data_ == MAP_FAILED) throw std::bad_alloc();
        madvise(data_, bytes_, MADV_HUGEPAGE);  // advice: refusal costs speed, nothing else
    }
    ~ResidentPages() { munmap(data_, bytes_); }
    ResidentPages(const ResidentPages&) = delete;
    ResidentPages& operator=(const ResidentPages&) = delete;

    void* data() const { return data_; }

  private:
    std::size_t bytes_;
    void* data_;
};

}  // namespace graphkit
