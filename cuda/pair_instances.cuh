// Kernels of each kind and dtype, by the macros GRAPHKIT_NAME(dtype, Row) of the file that ends with this one.
//
// At run time -DGRAPHKIT_KIND=l1 -DGRAPHKIT_DTYPE=f32 asks for those of one kind and dtype, since NVRTC takes 20 s and
// more for all, of which a model launches few. They are the end of a kernel's name.
#pragma once

#define GRAPHKIT_ROW_f32 float
#define GRAPHKIT_ROW_bf16 unsigned short

#define GRAPHKIT_PASTED(kind, dtype) GRAPHKIT_##kind(dtype, GRAPHKIT_ROW_##dtype)
#define GRAPHKIT_INSTANCE(kind, dtype) GRAPHKIT_PASTED(kind, dtype)
#define GRAPHKIT_KINDS(dtype)        \
    GRAPHKIT_INSTANCE(dot, dtype)    \
    GRAPHKIT_INSTANCE(l1, dtype)     \
    GRAPHKIT_INSTANCE(l2, dtype)     \
    GRAPHKIT_INSTANCE(rotate, dtype) \
    GRAPHKIT_INSTANCE(box, dtype)    \
    GRAPHKIT_INSTANCE(centred, dtype)

#ifdef GRAPHKIT_KIND
GRAPHKIT_INSTANCE(GRAPHKIT_KIND, GRAPHKIT_DTYPE)
#else
GRAPHKIT_KINDS(f32)
GRAPHKIT_KINDS(bf16)
#endif
