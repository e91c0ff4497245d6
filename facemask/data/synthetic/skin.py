"""Skin of a made-up face: a texture in (u, v), made once a video, lit and projected a frame."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.data.synthetic.drawing import Canvas, Points, Scene, blur, curve, noise, trace
from facemask.data.synthetic.person import Expression, Identity
from facemask.data.synthetic.shape import FaceShape, Geometry, surface

_RESOLUTION: Final = 96
"""Texels per unit: about the size of the face in a frame 320 pixels high."""


class Skin:
    """One person's skin as maps over (u, v), (h, w) or (h, w, 3) float32."""

    def __init__(self, identity: Identity, shape: FaceShape, rng: np.random.Generator) -> None:
        """Paint colour, surface normals and soft shadows."""
        self._shape = shape
        self._origin = np.array([-shape.width, shape.top])  # (u, v) of texel (0, 0)
        height = int(np.ceil((shape.bottom - shape.top) * _RESOLUTION)) + 1
        width = int(np.ceil(2 * shape.width * _RESOLUTION)) + 1
        u, v = np.meshgrid(np.arange(width) / _RESOLUTION, np.arange(height) / _RESOLUTION)
        self._uv = np.stack([u, v], axis=-1) + self._origin
        z = surface(identity, self._uv)
        dv, du = np.gradient(z, 1 / _RESOLUTION)
        # The sides are steep to the point of noise; a real head's normals turn evenly.
        normal = np.stack([-du, -dv, np.ones_like(z)], axis=-1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        bumps = noise(rng, height, width, 2.2) * 0.020 + noise(rng, height, width, 7) * 0.018
        normal[..., 0] += bumps * (0.7 + 0.6 * identity.age)
        normal[..., 1] += np.roll(bumps, 5, axis=0) * (0.7 + 0.6 * identity.age)
        self._normal = normal.astype(np.float32)

        nose = identity.nose_length
        gloss = (0.15 + self._spots(0, 0.3 * nose, 0.1, 0.35)).astype(np.float32)
        gloss += 0.7 * self._spots(0, 0.52 * nose, 0.07, 0.06)
        gloss += 0.5 * self._spots(0, -0.7, 0.4, 0.2) + 0.4 * self._spots(0.66, 0.3, 0.2, 0.12)
        self._gloss = gloss
        self._paint_shadows(identity, shape.neutral)
        self._albedo = self._colors(identity, shape.neutral, rng)

    def _spots(self, u: float, v: float, su: float, sv: float) -> Canvas:
        """Return soft spots of these half sizes at (u, v) on both sides of the face."""
        side, rise = (np.abs(self._uv[..., 0]) - u) / su, (self._uv[..., 1] - v) / sv
        return np.asarray(np.exp(-(side**2 + rise**2) / 2), np.float32)

    def _line(self, points: Points, thickness: float, softness: float) -> Canvas:
        """Return soft lines along points (N, 2) u, v on both sides of the face."""
        drawn = np.zeros(self._uv.shape[:2], np.float32)
        for mirror in (1.0, -1.0):
            texels = (points * (mirror, 1) - self._origin) * _RESOLUTION
            trace(drawn, texels, 1.0, max(1, round(thickness * _RESOLUTION)))
        return blur(drawn, softness * _RESOLUTION)

    def _paint_shadows(self, identity: Identity, points: Points) -> None:
        """Paint the share of light that arrives, and the folds that expressions bring out."""
        spots, line = self._spots, self._line
        nose, wing = identity.nose_length, identity.nose_width
        spacing = identity.eye_spacing / 2
        mouth, corner = float(points[62, 1]), float(points[54, 0])
        shadow = 0.22 * spots(spacing - 0.24, -0.06, 0.09, 0.11)  # beside the bridge
        shadow += 0.20 * spots(spacing, -0.13, 0.22, 0.045)  # under the brow
        shadow += (0.08 + 0.14 * identity.age) * spots(spacing - 0.05, 0.14, 0.17, 0.04)
        shadow += 0.22 * spots(0.17 * wing + 0.09, 0.58 * nose, 0.028, 0.07)
        shadow += 0.10 * spots(0.10 * wing, 0.53 * nose, 0.02, 0.04)
        shadow += 0.16 * spots(0.06, 0.55 * nose + 0.20, 0.14 * wing, 0.04)
        shadow += 0.70 * spots(0.098 * wing, 0.55 * nose + 0.12, 0.038, 0.016)  # nostrils
        shadow += 0.10 * spots(0, (0.55 * nose + 0.15 + mouth) / 2 - 0.02, 0.028, 0.09)
        shadow += 0.24 * spots(0, float(points[57, 1]) + 0.07, 0.20, 0.045)  # under the lip
        shadow += 0.18 * spots(corner + 0.03, mouth + 0.02, 0.05, 0.05)
        shadow += 0.12 * spots(0.84 * identity.face_width, 0.75, 0.16, 0.3)  # below cheekbone
        lid = curve(points[42:46]) + np.array([0, -0.055])
        shadow += 0.34 * line(lid, 0.014, 0.014)  # the lid's crease
        shadow += 0.10 * line(points[34:36] + np.array([0.03, -0.04]), 0.02, 0.02)

        # Of a full smile: nasolabial folds and crow's-feet.
        edge = np.array([0.22 * wing + 0.02, 0.55 * nose])
        fold = np.stack([edge, edge + np.array([0.16, 0.22]), [corner + 0.13, mouth + 0.05]])
        folds = line(curve(fold), 0.03, 0.035)
        for rise in (-0.06, 0.0, 0.06):
            start = np.array([points[45, 0] + 0.06, rise * 0.6 + 0.01])
            feet = np.stack([start + np.array([k * 0.08, k**2 * rise / 4]) for k in range(3)])
            folds += (0.25 + 0.5 * identity.age) * line(feet, 0.01, 0.01)
        furrows = np.zeros_like(shadow)  # of the forehead, under fully raised brows
        for height in (0.5, 0.62, 0.74):
            across = np.stack([[0, -height], [0.3, -height - 0.02], [0.62, -height + 0.05]])
            furrows += 0.45 * line(curve(across), 0.016, 0.016)
        scowl = 0.9 * line(np.array([[0.07, -0.34], [0.06, -0.2]]), 0.02, 0.018)
        aged = 0.28 * identity.age * (folds + furrows + scowl)
        self._occlusion = np.asarray(np.clip(1 - shadow - aged, 0.12, 1), np.float32)
        self._folds, self._furrows, self._scowl = folds, furrows, scowl

    def _colors(self, identity: Identity, points: Points, rng: np.random.Generator) -> Canvas:
        """Return the colours without light, 0 to 255."""
        height, width = self._uv.shape[:2]
        spots, nose = self._spots, identity.nose_length
        albedo: Canvas = np.empty((height, width, 3), np.float32)
        albedo[:] = identity.skin
        blotches = noise(rng, height, width, 14) * 0.012 + noise(rng, height, width, 3) * 0.012
        albedo *= 1 + blotches[..., None]
        blush = 0.5 * spots(0.62, 0.5, 0.24, 0.18) + 0.45 * spots(0, 0.5 * nose, 0.13, 0.12)
        blush += 0.2 * spots(0, 1.5 * identity.face_length, 0.3, 0.15)
        albedo *= 1 - blush[..., None] * np.array([0.0, 0.14, 0.12], np.float32)
        if identity.freckles > 0.2:
            dots = rng.random((height, width)) > 0.985
            soft = blur(dots.astype(np.float32), 1.0) * 4
            where = spots(0.4, 0.4, 0.45, 0.25) * identity.freckles
            amount = (0.4 * np.minimum(soft, 1) * where)[..., None]
            albedo *= 1 - amount * np.array([0.7, 1, 1.1], np.float32)
        if identity.beard > 0:
            hairs = np.clip(0.75 + 0.3 * noise(rng, height, width, 1.3, 2.5), 0, 1)
            amount = self._beard(points) * hairs * (0.25 + 0.6 * identity.beard)
            albedo += amount[..., None] * (identity.hair.astype(np.float32) * 0.8 - albedo)
        color = identity.hair * 0.62 + identity.skin * 0.12
        amount = self._brows(identity.brow_thickness, points, rng)[..., None]
        albedo += amount * (color.astype(np.float32) - albedo)
        return albedo

    def _beard(self, points: Points) -> Canvas:
        """Return how much beard grows: along the jaw, on the chin and above the lip."""
        outline = curve(points[0:17])
        shift = [[-0.07, 0.42], [-0.16, 0.0], [0.16, -0.02], [-0.02, -0.17], [0, 0.06]]
        inner = points[[16, 13, 54, 54, 33]] + shift
        area = np.concatenate([outline[len(outline) // 2 :][::-1], inner])
        grown = np.zeros(self._uv.shape[:2], np.float32)
        for mirror in (1.0, -1.0):
            texels = area * (mirror, 1) - self._origin
            texels = texels * self._uv.shape[1] / (2 * self._shape.width)
            cv2.fillPoly(grown, [np.rint(texels).astype(np.int32)], [1.0])
        return blur(grown, 0.045 * _RESOLUTION)

    def _brows(self, thickness: float, points: Points, rng: np.random.Generator) -> Canvas:
        """Draw two brows of single hairs, whose upper edge is the landmarks' curve."""
        drawn = np.zeros(self._uv.shape[:2], np.uint8)
        for brow, outwards in ((points[17:22][::-1], -1), (points[22:27], 1)):
            edge = curve(brow, 20)
            t = np.linspace(0, 1, len(edge))
            depth = 0.10 * thickness * np.clip(1.15 - 0.95 * t, 0, 1) * np.clip(0.55 + 5 * t, 0, 1)
            for _ in range(int(260 * thickness**0.5)):
                k = int(rng.integers(0, len(edge)))
                root = edge[k] + (0, depth[k] * rng.uniform(0.1, 1))
                lean = (0.035 + 0.04 * t[k]) * outwards
                end = root + np.array([lean, -0.055 * (1 - 0.75 * t[k]) * rng.uniform(0.4, 1)])
                end[1] = max(end[1], edge[min(k + 4, len(edge) - 1)][1] - 0.004)
                hair = (np.stack([root, end]) - self._origin) * _RESOLUTION
                trace(drawn, hair, 255, 1, cv2.LINE_AA)
        return np.asarray(np.clip(blur(drawn, 0.7) / 255 * 1.25, 0, 0.93), np.float32)

    def paint(
        self, scene: Scene, outline: Points, geometry: Geometry, expression: Expression
    ) -> None:
        """Paint the lit surface inside an outline.

        Args:
            scene: The frame, painted in place.
            outline: (N, 2) contour of the face, in pixels.
            geometry: The vertices of its mesh in this frame.
            expression: Brings out folds.
        """
        alpha = scene.cover(outline)
        if alpha is None:
            return
        camera, quads = scene.camera, self._shape.quads
        turned = camera.scene(geometry.mesh)
        origin = (alpha.columns.start, alpha.rows.start)
        corners = (camera.pixels(turned) - origin)[quads]  # (Q, 4, 2)
        owner = np.full(alpha.coverage.shape, -1, np.int32)
        outlines = np.rint(corners * 16).astype(np.int32)
        a, b = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
        visible = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] > 1e-6
        for q in np.argsort(turned[:, 2][quads].mean(axis=1), kind="stable"):  # back to front
            if visible[q]:
                cv2.fillConvexPoly(owner, outlines[q], [int(q)], cv2.LINE_8, 4)

        texels = (self._shape.uv[quads] - self._origin) * _RESOLUTION
        x, y = _inverse_map(owner, corners, texels)
        lit = self._lit(scene, expression)
        seen, border = owner >= 0, cv2.BORDER_REPLICATE
        patch = np.asarray(cv2.remap(lit, x, y, cv2.INTER_LINEAR, borderMode=border), np.float32)
        # The contour may run a pixel outside the mesh: continue the nearest colours outwards.
        weight = seen.astype(np.float32)
        spread = np.asarray(cv2.blur(patch * weight[..., None], (13, 13)), np.float32)
        total = np.asarray(cv2.blur(weight, (13, 13)), np.float32)
        outside = spread / np.maximum(total, np.float32(1e-3))[..., None]
        scene.blend(alpha, np.where(seen[..., None], patch, outside))

    def _lit(self, scene: Scene, expression: Expression) -> Canvas:
        """Return the colours under the light, before projection."""
        camera, light = scene.camera, scene.light
        to_lamp = (camera.rotation().T @ light.direction).astype(np.float32)
        half = to_lamp + camera.rotation().T[:, 2].astype(np.float32)
        half /= np.linalg.norm(half)
        facing = np.asarray(cv2.transform(self._normal, np.stack([to_lamp, half])), np.float32)
        # Skin scatters light past the terminator, so the lamp reaches a little round the corner.
        diffuse = np.clip(facing[..., 0] * np.float32(0.8) + np.float32(0.2), 0, None)
        folds = self._occlusion * (
            1
            - np.float32(0.32 * expression.smile) * self._folds
            - np.float32(0.40 * expression.surprise) * self._furrows
            - np.float32(0.50 * expression.frown) * self._scowl
        )
        gloss = np.clip(facing[..., 1], 0, 1) ** 16 * self._gloss
        out = np.empty_like(self._albedo)
        for c in range(3):
            shading = np.float32(light.color[c]) * diffuse + np.float32(light.ambient[c])
            shading *= folds
            if c > 0:  # light that went through skin comes out redder: shadows are warm
                shading *= np.float32(1 - 0.09 * c) + np.float32(0.09 * c) * np.minimum(shading, 1)
            out[..., c] = self._albedo[..., c] * shading
            out[..., c] += gloss * np.float32(40 * light.color[c])
        return out


def _inverse_map(
    owner: npt.NDArray[np.int32], corners: Points, texels: Points
) -> tuple[Canvas, Canvas]:
    """Return the texel that each pixel shows, x and y, by the affine map of its quad."""

    def axes(q: Points) -> Points:  # mean directions along and down each quad, (Q, 2, 2)
        along = (q[:, 1] - q[:, 0] + q[:, 2] - q[:, 3]) / 2
        down = (q[:, 3] - q[:, 0] + q[:, 2] - q[:, 1]) / 2
        return np.stack([along, down], axis=-1)

    image = axes(corners)
    determinant = image[:, 0, 0] * image[:, 1, 1] - image[:, 0, 1] * image[:, 1, 0]
    determinant = np.where(np.abs(determinant) < 1e-6, np.inf, determinant)
    inverse = np.empty_like(image)
    inverse[:, 0, 0], inverse[:, 1, 1] = image[:, 1, 1], image[:, 0, 0]
    inverse[:, 0, 1], inverse[:, 1, 0] = -image[:, 0, 1], -image[:, 1, 0]
    affine = np.einsum("qij,qjk->qik", axes(texels), inverse / determinant[:, None, None])
    offset = texels.mean(axis=1) - np.einsum("qij,qj->qi", affine, corners.mean(axis=1))
    table = np.concatenate([affine.reshape(-1, 4), offset], axis=1).astype(np.float32)

    x = np.arange(owner.shape[1], dtype=np.float32)
    y = np.arange(owner.shape[0], dtype=np.float32)[:, None]
    own = table[np.maximum(owner, 0)]  # (h, w, 6)
    map_x = own[..., 0] * x + own[..., 1] * y + own[..., 4]
    map_y = own[..., 2] * x + own[..., 3] * y + own[..., 5]
    return map_x, map_y
