"""Rendering of the skin: the textured 3-D surface, lit, seen by the camera."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facemask.data.synthetic.camera import Camera
from facemask.data.synthetic.drawing import Alpha, Canvas, Points, blend
from facemask.data.synthetic.expression import Expression
from facemask.data.synthetic.shape import FaceShape, Geometry
from facemask.data.synthetic.texture import SkinTexture


@dataclass(frozen=True)
class Light:
    """One distant lamp and the light from all round.

    Attributes:
        direction: (3,) unit vector from the scene to the lamp; x right, y down, z to the viewer.
        color: (3,) factor per channel of the lamp.
        ambient: (3,) factor per channel of the light from all round.
    """

    direction: Points
    color: Points
    ambient: Points

    def on(self, normal: Points) -> Points:
        """Light (3,) on a patch of the scene with this unit normal."""
        facing = max(float(normal @ self.direction) * 0.8 + 0.2, 0.0)
        return np.asarray(self.ambient + self.color * facing, np.float64)


def lit_texture(
    texture: SkinTexture, camera: Camera, light: Light, expression: Expression
) -> Canvas:
    """The skin's colours under the light, (h, w, 3) float32, before projection."""
    to_lamp = (camera.rotation().T @ light.direction).astype(np.float32)
    half = to_lamp + camera.rotation().T[:, 2].astype(np.float32)
    half /= np.linalg.norm(half)
    matrix = np.stack([to_lamp, half])
    facing = np.asarray(cv2.transform(texture.normal, matrix), np.float32)  # (h, w, 2)
    # Skin scatters light past the terminator, so the lamp reaches a little round the corner.
    diffuse = np.clip(facing[..., 0] * np.float32(0.8) + np.float32(0.2), 0, None)
    folds = texture.occlusion * (
        1
        - np.float32(0.32 * expression.smile) * texture.folds
        - np.float32(0.40 * expression.surprise) * texture.furrows
        - np.float32(0.50 * expression.frown) * texture.scowl
    )
    gloss = np.clip(facing[..., 1], 0, 1) ** 16 * texture.gloss
    out = np.empty_like(texture.albedo)
    for c in range(3):
        shading = np.float32(light.color[c]) * diffuse + np.float32(light.ambient[c])
        shading *= folds
        if c > 0:  # light that went through skin comes out redder: shadows are warm
            shading *= np.float32(1 - 0.09 * c) + np.float32(0.09 * c) * np.minimum(shading, 1)
        out[..., c] = texture.albedo[..., c] * shading
        out[..., c] += gloss * np.float32(40 * light.color[c])
    return out


def paint_skin(
    canvas: Canvas,
    alpha: Alpha | None,
    texture: SkinTexture,
    lit: Canvas,
    shape: FaceShape,
    geometry: Geometry,
    camera: Camera,
) -> None:
    """Paint the lit surface into `alpha`, whose edge is the landmarks' contour.

    Args:
        canvas: The picture, changed in place.
        alpha: Coverage of the face.
        texture: For the placing of the texels.
        lit: From `lit_texture`.
        shape: The face's mesh.
        geometry: Its vertices in this frame.
        camera: The view.
    """
    if alpha is None:
        return
    left, top = alpha.columns.start, alpha.rows.start
    size = alpha.coverage.shape
    scene = camera.scene(geometry.mesh)
    corners = (camera.pixels(scene) - (left, top))[shape.quads]  # (Q, 4, 2)
    quads = _visible_quads(corners, scene[:, 2][shape.quads].mean(axis=1))
    owner = np.full(size, -1, np.int32)
    fixed = np.rint(corners * 16).astype(np.int32)
    for q in quads:  # from the back to the front
        cv2.fillConvexPoly(owner, fixed[q], [int(q)], cv2.LINE_8, 4)

    map_x, map_y, seen = _inverse_map(owner, corners, shape.uv[shape.quads], texture)
    patch = np.asarray(
        cv2.remap(lit, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
    # The contour may run a pixel outside the mesh: continue the nearest colours outwards.
    weight = seen.astype(np.float32)
    spread = np.asarray(cv2.blur(patch * weight[..., None], (13, 13)), np.float32)
    total = np.asarray(cv2.blur(weight, (13, 13)), np.float32)
    outside = spread / np.maximum(total, np.float32(1e-3))[..., None]
    blend(canvas, alpha, np.where(seen[..., None], patch, outside))


def _visible_quads(corners: Points, depth: Points) -> npt.NDArray[np.intp]:
    a, b = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    front = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] > 1e-6
    order = np.argsort(depth, kind="stable")
    return np.asarray(order[front[order]], np.intp)


def _inverse_map(
    owner: npt.NDArray[np.int32], corners: Points, uv: Points, texture: SkinTexture
) -> tuple[Canvas, Canvas, npt.NDArray[np.bool_]]:
    """For each pixel, which texel it shows: the affine map of the quad that owns it."""

    def axes(q: Points) -> Points:  # mean directions along and down each quad, (Q, 2, 2)
        along = (q[:, 1] - q[:, 0] + q[:, 2] - q[:, 3]) / 2
        down = (q[:, 3] - q[:, 0] + q[:, 2] - q[:, 1]) / 2
        return np.stack([along, down], axis=-1)

    image, source = axes(corners), axes((uv - texture.origin) * texture.resolution)
    determinant = image[:, 0, 0] * image[:, 1, 1] - image[:, 0, 1] * image[:, 1, 0]
    determinant = np.where(np.abs(determinant) < 1e-6, np.inf, determinant)
    inverse = np.empty_like(image)
    inverse[:, 0, 0], inverse[:, 1, 1] = image[:, 1, 1], image[:, 0, 0]
    inverse[:, 0, 1], inverse[:, 1, 0] = -image[:, 0, 1], -image[:, 1, 0]
    affine = np.einsum("qij,qjk->qik", source, inverse / determinant[:, None, None])
    center = ((uv - texture.origin) * texture.resolution).mean(axis=1)
    offset = center - np.einsum("qij,qj->qi", affine, corners.mean(axis=1))
    table = np.concatenate([affine.reshape(-1, 4), offset], axis=1).astype(np.float32)

    seen = owner >= 0
    rows, columns = owner.shape
    x = np.arange(columns, dtype=np.float32)
    y = np.arange(rows, dtype=np.float32)[:, None]
    own = table[np.maximum(owner, 0)]  # (h, w, 6)
    map_x = own[..., 0] * x + own[..., 1] * y + own[..., 4]
    map_y = own[..., 2] * x + own[..., 3] * y + own[..., 5]
    return map_x, map_y, seen
